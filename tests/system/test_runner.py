"""What runs these tests: a file that dies, hangs or fails is told of, and ports are one process's at a time."""
import os
import pathlib
import subprocess
import sys

import pytest

import ports
from conftest import is_gone, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import system_tests  # noqa: E402 it lies elsewhere

FILES = {
    "good": "def test_a(): pass\ndef test_b(): pass\n",
    "fails": "def test_a(): assert False, 'this is why'\ndef test_b(): pass\n",
    "dies": "import os\ndef test_a(): pass\ndef test_b(): os._exit(0)\n",
    "is_killed": "import os\ndef test_a(): os.kill(os.getpid(), 9)\n",
    "ends_badly": "import pytest\n@pytest.fixture\ndef late():\n    yield\n    assert False, 'too late'\ndef test_a(late): pass\n",
    "is_broken": "import nothing_of_this_name\ndef test_a(): pass\n",
    "shrinks": "import os\nif 'STARTED' not in os.environ:\n    def test_a(): pass\ndef test_b(): pass\n",
    "skips": "import pytest\n@pytest.mark.skip\ndef test_a(): pass\ndef test_b(): pass\n",
    "empty": "",
}


@pytest.fixture
def run(tmp_path):
    """Runs files of FILES: {name: result}."""
    def go(*names, only=""):
        paths = [tmp_path / f"test_{name}.py" for name in names]
        for name, path in zip(names, paths):
            path.write_text(FILES[name])
        counts, problem = system_tests.count_cases(tmp_path, dict(os.environ), paths, only)
        assert problem is None
        pool = system_tests.Pool(tmp_path, tmp_path, dict(os.environ, STARTED="1"), only)
        parts = [system_tests.Part("system", "/bin/true", path, counts[path.name]) for path in paths]
        return {part.path.stem.removeprefix("test_"): result for part, result in pool.run_all(parts)}
    return go


def test_what_goes_well(run):
    results = run("good", "skips")
    assert (results["good"].passed, results["good"].skipped, results["good"].failures) == (2, 0, [])
    assert (results["skips"].passed, results["skips"].skipped, results["skips"].failures) == (1, 1, [])
    only = run("good", only="test_b")["good"]
    assert (only.passed, only.failures) == (1, [])


@pytest.mark.parametrize("name, failures, said", [
    ("fails", ["test_fails::test_a"], "this is why"),
    ("ends_badly", ["test_ends_badly::test_a"], "too late"),
    ("dies", ["ended with status 0 and no report"], ""),
    ("is_killed", ["ended with status -9 and no report"], ""),
    ("shrinks", ["has 2 cases, 1 were run"], "1 passed"),
])
def test_what_does_not(run, name, failures, said):
    results = run("good", name)
    assert results[name].failures == failures and said in results[name].output
    assert not results["good"].failures


def test_a_file_that_can_not_be_read_is_told_of(tmp_path):
    for name in ("good", "is_broken"):
        (tmp_path / f"test_{name}.py").write_text(FILES[name])
    counts, problem = system_tests.count_cases(tmp_path, dict(os.environ), sorted(tmp_path.glob("test_*.py")), "")
    assert "nothing_of_this_name" in problem and dict(counts) == {"test_good.py": 2}


def test_a_file_without_cases_has_none(tmp_path):
    for name in ("good", "empty"):
        (tmp_path / f"test_{name}.py").write_text(FILES[name])
    counts, problem = system_tests.count_cases(tmp_path, dict(os.environ), sorted(tmp_path.glob("test_*.py")), "")
    assert problem is None and dict(counts) == {"test_good.py": 2}


def test_a_file_that_hangs_is_ended_with_its_servers(tmp_path, monkeypatch):
    note = tmp_path / "pid"
    path = tmp_path / "test_hangs.py"
    path.write_text("import pathlib, subprocess\ndef test_a():\n    server = subprocess.Popen(['sleep', '1000'])\n"
                    f"    pathlib.Path({str(note)!r}).write_text(str(server.pid))\n    server.wait()\n")
    monkeypatch.setattr(system_tests, "PART_TIMEOUT", 0.01)
    pool = system_tests.Pool(tmp_path, tmp_path, dict(os.environ), "")
    start = pool.start

    def start_and_wait(*arguments):
        process = start(*arguments)
        wait_until(note.exists, "the server")
        return process

    monkeypatch.setattr(pool, "start", start_and_wait)
    (_, result), = pool.run_all([system_tests.Part("system", "/bin/true", path, 1)])
    assert result.failures == ["ended with status -15 and no report"] and "no end within" in result.output
    wait_until(lambda: is_gone(int(note.read_text())), "the server's end")


OTHER = f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r}); import ports"


def test_a_port_is_one_process_s():
    base = ports.free_port_base()
    mine = {base + port for port in ports.SANDBOX} | {ports.free_port()}
    assert not any(ports.take(port) for port in mine)
    take = f"{OTHER}; print([port for port in {sorted(mine)} if ports.take(port)])"
    assert subprocess.run([sys.executable, "-c", take], capture_output=True, text=True).stdout == "[]\n"


def test_a_port_is_free_when_its_process_is_gone():
    port = int(subprocess.run([sys.executable, "-c", f"{OTHER}; print(ports.free_port())"], capture_output=True, text=True).stdout)
    assert ports.FIRST <= port < ports.LAST
    wait_until(lambda: ports.take(port), "the port")


@pytest.mark.parametrize("verb", [["test"], ["fuzz"], ["torture"], ["bench"], ["bench", "--peers"]], ids=" ".join)
def test_a_verb_explains_itself_without_a_build(verb, tmp_path):
    """From a copy with nothing built, and no way to build: only what is needed to say it may be used."""
    for name in ("dev", "tools", "torture", "bench", "tests/system"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        os.symlink(ROOT / name, tmp_path / name)
    told = subprocess.run([tmp_path / "dev", *verb, "--help"], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("usage: ./dev " + " ".join(verb)) and not told.stderr and not (tmp_path / "build").exists()
