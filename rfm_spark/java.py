"""Finds a Java that Spark runs on. Standard library only: set-up runs this file before anything is installed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SUPPORTED = (17, 21)

_RELEASE = re.compile(r'^JAVA_VERSION="([^"]+)"', re.MULTILINE)
_BANNER = re.compile(r'version "([^"]+)"')
_HOME = re.compile(r"^\s*java\.home = (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class JavaHome:
    """One installed Java: the folder that holds `bin/java`, and its version, such as `17.0.15`."""

    path: Path
    version: str

    @property
    def feature(self) -> int:
        """The release that people name: 17 for `17.0.15`, 8 for `1.8.0_352`."""
        return feature(self.version)

    @property
    def supported(self) -> bool:
        """Whether Spark runs on it."""
        return self.feature in SUPPORTED

    def __str__(self) -> str:
        return f"Java {self.version} in {self.path}"


def feature(version: str) -> int:
    """The feature release of a version text; 0 where the text holds none."""
    numbers = re.findall(r"\d+", version)
    if not numbers:
        return 0
    old_style = numbers[0] == "1" and len(numbers) > 1
    return int(numbers[1] if old_style else numbers[0])


def find_java(environ: Mapping[str, str] = os.environ, prefix: str = sys.prefix) -> JavaHome | None:
    """The Java to run Spark on, or None where there is none at all.

    Looks in `JAVA_HOME`, on the `PATH`, then in `<prefix>/java`, where set-up puts its own. The first supported one
    wins; if all are unsupported the first of them is returned, so that the caller can say what was found.
    """
    found = [java for java in (_read(program) for program in _programs(environ, prefix)) if java]
    return next((java for java in found if java.supported), found[0] if found else None)


def _programs(environ: Mapping[str, str], prefix: str) -> list[Path]:
    programs = [Path(environ["JAVA_HOME"]) / "bin" / "java"] if environ.get("JAVA_HOME") else []
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        programs.append(Path(on_path).resolve())
    return [*programs, Path(prefix) / "java" / "bin" / "java"]


def _read(program: Path) -> JavaHome | None:
    """The Java of this program: from the `release` file of its folder (no JVM starts), else as it says itself."""
    if not os.access(program, os.X_OK):
        return None
    home = program.parent.parent
    try:
        match = _RELEASE.search((home / "release").read_text(errors="replace"))
    except OSError:
        match = None
    if match:
        return JavaHome(home, match.group(1))
    banner = _banner(program)
    match = _BANNER.search(banner)
    # A version manager puts a script on the PATH that starts the Java it chose: only that Java knows its own home.
    own_home = _HOME.search(banner)
    return JavaHome(Path(own_home.group(1)) if own_home else home, match.group(1)) if match else None


def _banner(program: Path) -> str:
    command = [str(program), "-XshowSettings:properties", "-version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr + done.stdout


if __name__ == "__main__":
    # For the shell: prints the version and the folder on two lines; exit 0 supported, 3 not supported, 4 none.
    java = find_java()
    if java:
        print(java.version, java.path, sep="\n")  # noqa: T201 - this is the script's output
    sys.exit(4 if java is None else 0 if java.supported else 3)
