"""The package itself: what pip makes of it, without a network, and what it costs to import."""
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

TREE = Path(__file__).resolve().parents[4]
PACKAGE = TREE / "device/sdk/python"
sys.path[:0] = [str(PACKAGE), str(PACKAGE / "backend")]
import tributary
import tributary_build


def run(*command, **options):
    # No index and no home: nothing is fetched, and nobody's settings count.
    environment = {
        "PATH": os.environ["PATH"],
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "HOME": "/nonexistent",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    done = subprocess.run(
        [str(part) for part in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}")
    return done.stdout.strip()


class PackageTest(unittest.TestCase):
    def setUp(self):
        self.kept = tempfile.TemporaryDirectory()
        self.addCleanup(self.kept.cleanup)
        self.folder = Path(self.kept.name)

    def test_version_is_the_programs(self):
        version = re.search(r"project\(tributary VERSION (\S+)", (TREE / "CMakeLists.txt").read_text()).group(1)
        self.assertEqual(tributary.__version__, version)

    def test_installs_offline_into_a_fresh_environment(self):
        python = self.folder / "venv/bin/python"
        run(sys.executable, "-m", "venv", "--without-pip", self.folder / "venv")
        pip = (sys.executable, "-m", "pip", "--python", python)
        where = """import importlib.metadata as about, tributary.errors
print(tributary.__file__, tributary.__version__, about.metadata("tributary")["License"])"""
        for source, place in ((self.sdist(), self.folder), (PACKAGE, self.folder), ("-e", PACKAGE)):
            named = ("-e", PACKAGE) if source == "-e" else (source,)
            run(*pip, "install", "--quiet", "--no-compile", "--force-reinstall", *named)
            file, *about = run(python, "-c", where, cwd="/").split()
            self.assertEqual(about, [tributary.__version__, "Apache-2.0"])
            self.assertTrue(file.startswith(str(place)), file)
        run(*pip, "uninstall", "--quiet", "--yes", "tributary")
        self.assertEqual(list((self.folder / "venv").rglob("*tributary*")), [])

    def sdist(self):
        return self.folder / tributary_build.build_sdist(str(self.folder))

    def test_the_same_files_give_the_same_bytes(self):
        def digests(folder):
            folder.mkdir()
            made = [tributary_build.build_wheel(str(folder)), tributary_build.build_sdist(str(folder))]
            return [(name, hashlib.sha256((folder / name).read_bytes()).hexdigest()) for name in made]

        first = digests(self.folder / "first")
        for file in (PACKAGE / "tributary").glob("*.py"):
            os.utime(file)
        self.assertEqual(digests(self.folder / "second"), first)
        self.assertEqual(first[0][0], f"tributary-{tributary.__version__}-py3-none-any.whl")

    def test_the_wheel_has_the_sources_and_says_that_they_are_typed(self):
        with zipfile.ZipFile(self.folder / tributary_build.build_wheel(str(self.folder))) as wheel:
            names = set(wheel.namelist())
        files = {f"tributary/{file.name}" for file in (PACKAGE / "tributary").glob("*.py")}
        self.assertEqual(names - {name for name in names if ".dist-info/" in name}, files | {"tributary/py.typed"})

    def test_importing_it_loads_nothing_heavy(self):
        script = f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); import tributary; print(*sys.modules)"
        loaded = run(sys.executable, "-c", script).split()
        self.assertIn("tributary.errors", loaded)
        for heavy in ("asyncio", "ctypes", "http", "json", "numpy", "pandas", "subprocess", "torch", "urllib.request"):
            self.assertNotIn(heavy, loaded)

    def test_all_that_it_names_is_there_and_explained(self):
        for name in tributary.__all__:
            with self.subTest(name):
                self.assertTrue(getattr(tributary, name).__doc__, name)
                self.assertIn(name, dir(tributary))
        with self.assertRaisesRegex(AttributeError, "no attribute 'exprot'"):
            tributary.exprot


if __name__ == "__main__":
    unittest.main()
