"""What is acknowledged is never lost: parts that break a server in one way each, and count. ./dev torture runs them."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The servers, ports and peers are those of the system tests.
sys.path.append(str(ROOT / "tests/system"))
