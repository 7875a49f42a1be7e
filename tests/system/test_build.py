"""The shipped program's defences, as readelf sees them: a compiler flag lost on the way would show nowhere else. OSTIARY is an optimised build."""
import re
import subprocess

import pytest

from conftest import OSTIARY


@pytest.fixture(scope="module")
def elf():
    result = subprocess.run(["readelf", "--wide", "--file-header", "--segments", "--dynamic", "--dyn-syms", OSTIARY], capture_output=True, text=True,
                            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
    assert result.returncode == 0, result.stderr
    return result.stdout


def segments(elf, kind):
    """The flags of each segment of a kind."""
    return [flags.replace(" ", "") for flags in re.findall(rf"^\s+{kind}\s+(?:0x\S+\s+){{5}}([RWE ]{{3}})\s", elf, re.M)]


def dynamic(elf, tag):
    return " ".join(re.findall(rf"\({tag}\)\s+(.*)", elf))


def test_position_independent(elf):
    assert re.search(r"Type:\s+DYN ", elf)
    assert "PIE" in dynamic(elf, "FLAGS_1")


def test_relocations_are_read_only(elf):
    assert segments(elf, "GNU_RELRO") == ["R"]
    assert "NOW" in dynamic(elf, "FLAGS_1")
    assert "(TEXTREL)" not in elf


def test_nothing_is_writable_and_executable(elf):
    assert segments(elf, "GNU_STACK") == ["RW"]  # each .S has to say so, or the whole program's stack is executable
    loaded = segments(elf, "LOAD")
    assert "RE" in loaded and "RW" in loaded
    assert "RWE" not in loaded


def test_stacks_are_guarded(elf):
    assert re.search(r"\b__stack_chk_fail\b", elf)


def test_library_calls_are_checked(elf):
    assert len(set(re.findall(r"\b__(?!stack_)\w+_chk\b", elf))) >= 3


def test_libraries_come_from_the_system(elf):
    assert not re.search(r"\((RPATH|RUNPATH)\)", elf)
