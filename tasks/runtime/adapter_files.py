"""Adapters read back from the store, each as it was written or not at all."""

from collections.abc import Mapping

from catalog_schemas.adapter import AdapterFile
from catalog_schemas.identity import bytes_id
from tasks.storage.objects import ObjectMissing, ObjectStore


def read_adapters(store: ObjectStore, files: Mapping[str, AdapterFile]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The bytes of LoRA files by the names they are given, and what is wrong with each that is gone or damaged.

    A damaged one is deleted, so that the next run finds none and trains the adapter again. Raises StoreError.
    """
    read, lost = dict[str, bytes](), dict[str, str]()
    for name, file in files.items():
        try:
            data = store.read(file.key)
        except ObjectMissing:
            lost[name] = f"its adapter {store.uri(file.key)} is gone; the next run trains it again"
            continue
        if bytes_id(data) == file.sha256:
            read[name] = data
        else:
            store.delete([file.key])
            lost[name] = f"its adapter {store.uri(file.key)} was damaged; the next run trains it again"
    return read, lost
