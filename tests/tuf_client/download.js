// Downloads one target as any TUF client would, and nothing of ours is asked whether it is right:
//   node download.js METADATA_URL TARGETS_URL ROOT_JSON TARGET FOLDER
// FOLDER keeps the trusted metadata between runs, as a client's disk does; ROOT_JSON is what it trusts at first. Prints
// one line of JSON: where the verified file is, its length, and the versions that were trusted on the way.
import {copyFileSync, existsSync, mkdirSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {Updater} from 'tuf-js';

const [metadataBaseUrl, targetBaseUrl, root, target, folder] = process.argv.slice(2);
const metadataDir = join(folder, 'metadata');
const targetDir = join(folder, 'targets');
mkdirSync(metadataDir, {recursive: true});
mkdirSync(targetDir, {recursive: true});
if (!existsSync(join(metadataDir, 'root.json'))) copyFileSync(root, join(metadataDir, 'root.json'));

const updater = new Updater({metadataBaseUrl, metadataDir, targetBaseUrl, targetDir, config: {fetchRetry: 0, fetchTimeout: 20_000}});
await updater.refresh();
const info = await updater.getTargetInfo(target);
if (!info) throw new Error(`no target ${target} in the repository`);
const file = await updater.downloadTarget(info);
const trusted = updater.trustedSet;
console.log(JSON.stringify({
  file,
  length: statSync(file).size,
  sha256: info.hashes.sha256,
  root: trusted.root.signed.version,
  timestamp: trusted.timestamp.signed.version,
}));
