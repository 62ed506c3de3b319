"""Durable writes: the only package that changes a run folder.

Whatever instant the process or the machine dies at, a reader finds the old state or the new one, never a
mixture: data goes to a temporary sibling, is fsynced, renamed into place, and the parent folder is fsynced.
Folders carry a `manifest.json` with the size and xxh3 hash of each file, so that damage is found
by `verify_folder`. Every operation goes through `disk.current`, which a test replaces to crash after each.
"""

from r1kit.files.disk import free_bytes, require_space
from r1kit.files.durable import (
    MANIFEST,
    damaged_files,
    dump_json,
    finite_or_none,
    hash_file,
    publish_folder,
    remove_folder,
    tidy,
    verify_folder,
    write_atomic,
    write_json,
)
from r1kit.files.jsonl import JsonlLog, read_jsonl
from r1kit.files.owner import LOCK, lock

__all__ = [
    "LOCK",
    "MANIFEST",
    "JsonlLog",
    "damaged_files",
    "dump_json",
    "finite_or_none",
    "free_bytes",
    "hash_file",
    "lock",
    "publish_folder",
    "read_jsonl",
    "remove_folder",
    "require_space",
    "tidy",
    "verify_folder",
    "write_atomic",
    "write_json",
]
