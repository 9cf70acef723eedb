"""The parts of the stage `report`: the gallery, what the Prefect UI shows, and what to photograph again."""
