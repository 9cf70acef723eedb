"""What verify finds."""

from dataclasses import replace

from tasks.storage.table_rows import rows_of
from tasks.storage.tables import Tables
from tasks.upkeep.verify import verify
from tests.crash.night import adapter_record, context_of
from tests.crash.operated import CATALOG, flip, live, night
from tests.crash.watched import ClockedStore


def test_verify_finds_a_flipped_byte_a_lost_file_and_an_orphan(store: ClockedStore) -> None:
    night(store, CATALOG, "one")
    sound = verify(store, lambda *_: None)
    assert (sound.checked, sound.faults, sound.orphans) == (6, (), ())
    flipped, lost = sorted(key for _, key in live(store))[:2]
    adapter = next(info.key for info in store.list("adapters") if info.key.endswith(".safetensors"))
    flip(store, flipped)
    flip(store, adapter)
    store.delete([lost])
    store.write("images/stray.jpg", b"x")
    steps: list[tuple[int, int]] = []
    found = verify(store, lambda *step: steps.append(step))
    assert {(fault.table, fault.key) for fault in found.faults} == {
        ("images", flipped),
        ("images", lost),
        ("adapters", adapter),
    }
    assert [fault.came for fault in found.faults if fault.key == lost] == ["nothing"]
    assert found.orphans == ("images/stray.jpg",)
    assert steps == [(number, 6) for number in range(1, 7)]


def test_verify_finds_learned_words_that_are_lost(store: ClockedStore) -> None:
    night(store, CATALOG, "one")
    record, _ = adapter_record(context_of(store, "two"), "mug", 1)
    key = f"{record.key.rpartition('/')[0]}/embedding.safetensors"
    row = rows_of("adapters", [replace(record, embedding=key)])
    Tables(store).merge("adapters", row, "two", ("embedding",))
    assert [fault.key for fault in verify(store, lambda *_: None).faults] == [key]
    store.write(key, b"words")
    assert verify(store, lambda *_: None).faults == ()
