"""Builds the package `tributary` for pip (PEP 517, PEP 660): one wheel for every Python from 3.9 on, the same bytes
from the same files.

It needs the standard library only. The version stands in tributary/__init__.py.
"""
import base64
import gzip
import hashlib
import io
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Dict, Optional

HERE = Path(__file__).resolve().parent.parent
NAME = "tributary"
SUMMARY = "Federated learning for fleets that are not always online: tasks, simulations, results and learners in Python"
TEXT = """`help(tributary)` says what there is. The programs that it starts (tributary, tributary-device, ...) are built
from the same tree; they are found beside it, in PATH, or in the folder that TRIBUTARY_BIN names.
"""
DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip archive can say


def version() -> str:
    return re.search(r'__version__ = "(.+)"', (HERE / NAME / "__init__.py").read_text()).group(1)


def metadata() -> str:
    return (
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version()}\nSummary: {SUMMARY}\nLicense: Apache-2.0\n"
        f"License-File: LICENSE\nRequires-Python: >=3.9\nDescription-Content-Type: text/markdown\n\n{TEXT}"
    )


def licence() -> bytes:
    """Of the tree that the package lies in, or of the source archive."""
    places = [HERE / "LICENSE", HERE.parent.parent.parent / "LICENSE"]
    return next(place for place in places if place.exists()).read_bytes()


def sources(*folders: str) -> Dict[str, bytes]:
    files = [file for folder in folders for file in (HERE / folder).rglob("*") if file.suffix in (".py", ".typed")]
    return {file.relative_to(HERE).as_posix(): file.read_bytes() for file in files}


def dist_info() -> str:
    return f"{NAME}-{version()}.dist-info"


def about() -> Dict[str, bytes]:
    wheel = f"Wheel-Version: 1.0\nGenerator: {NAME}_build\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return {
        f"{dist_info()}/METADATA": metadata().encode(),
        f"{dist_info()}/WHEEL": wheel.encode(),
        f"{dist_info()}/LICENSE": licence(),
    }


def write_wheel(folder: str, files: Dict[str, bytes]) -> str:
    files = {**dict(sorted(files.items())), **about()}
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{dist_info()}/RECORD"] = f"{record}{dist_info()}/RECORD,,\n".encode()
    name = f"{NAME}-{version()}-py3-none-any.whl"
    # Stored, not deflated: compressors of two versions differ.
    with zipfile.ZipFile(Path(folder) / name, "w", zipfile.ZIP_STORED) as wheel:
        for file, content in files.items():
            entry = zipfile.ZipInfo(file, DATE)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            wheel.writestr(entry, content)
    return name


def build_wheel(
    wheel_directory: str, config_settings: Optional[dict] = None, metadata_directory: Optional[str] = None
) -> str:
    return write_wheel(wheel_directory, sources(NAME))


def build_editable(
    wheel_directory: str, config_settings: Optional[dict] = None, metadata_directory: Optional[str] = None
) -> str:
    return write_wheel(wheel_directory, {f"_{NAME}.pth": f"{HERE}\n".encode()})


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Optional[dict] = None) -> str:
    folder = Path(metadata_directory) / dist_info()
    folder.mkdir()
    for name, content in about().items():
        (folder / Path(name).name).write_bytes(content)
    return dist_info()


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_sdist(sdist_directory: str, config_settings: Optional[dict] = None) -> str:
    top = f"{NAME}-{version()}"
    files = {
        **sources(NAME, "backend"),
        "pyproject.toml": (HERE / "pyproject.toml").read_bytes(),
        "PKG-INFO": metadata().encode(),
        "LICENSE": licence(),
    }
    # tarfile writes the time into gzip's head, so the archive is compressed by hand.
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    (Path(sdist_directory) / f"{top}.tar.gz").write_bytes(gzip.compress(plain.getvalue(), mtime=0))
    return f"{top}.tar.gz"
