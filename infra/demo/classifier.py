"""A small classifier of product class and colour, trained apart from everything else, that grades the demo model."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infra.demo.autoencoder import as_tensor
from infra.demo.progress import Journal, autocast, load_state, save_state

log = logging.getLogger(__name__)

FACTS = ("class_noun", "colour")


class Classifier(nn.Module):
    """Names the class and the colour of the product in photographs (n, 3, h, w) in [-1, 1]."""

    def __init__(self, names: tuple[tuple[str, ...], ...], width: int = 32) -> None:
        super().__init__()
        self.names = names
        layers: list[nn.Module] = [nn.AvgPool2d(2)]  # half the detail is plenty to name a class and a colour
        ins = 3
        for outs in (width, width * 2, width * 4, width * 6):
            layers += [
                nn.Conv2d(ins, outs, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outs),
                nn.ReLU(inplace=True),
            ]
            layers += [nn.Conv2d(outs, outs, 3, padding=1, bias=False), nn.BatchNorm2d(outs), nn.ReLU(inplace=True)]
            ins = outs
        self.trunk = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Dropout(0.2))
        self.heads = nn.ModuleList(nn.Linear(ins * 4, len(n)) for n in names)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Logits of each fact."""
        features = self.trunk(x)
        return [head(features) for head in self.heads]

    @torch.inference_mode()
    def name(self, images: np.ndarray) -> list[tuple[str, ...]]:
        """Class noun and colour of every picture (n, h, w, 3) uint8."""
        self.eval()
        found = []
        for at in range(0, len(images), 64):
            logits = self(as_tensor(images[at : at + 64], torch.device("cpu")))
            picks = torch.stack([one.argmax(1) for one in logits], 1)
            found += [tuple(self.names[j][int(i)] for j, i in enumerate(row)) for row in picks]
        return found


def train_classifier(
    images: np.ndarray, records: list[dict[str, Any]], out: Path, minutes: float, seed: int, device: torch.device
) -> Classifier:
    """Train (or go on training) the classifier for `minutes` on the photographs that show a product."""
    torch.manual_seed(seed + 4)
    shown = np.array([i for i, r in enumerate(records) if r["class_noun"]])
    names = tuple(tuple(sorted({records[i][f] for i in shown})) for f in FACTS)
    facts = torch.tensor([[names[j].index(records[i][f]) for j, f in enumerate(FACTS)] for i in shown])
    model = Classifier(names).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    journal = Journal(out / "log.csv", "classifier", minutes)
    parts = {"model": model, "optimizer": optimizer}
    journal.resume(load_state(out / "classifier.pt", parts, device))
    rng = np.random.default_rng([seed, journal.step, 5])
    model.train()
    while not journal.over():
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * journal.rate(warm=40)
        pick = rng.integers(0, len(shown), 64)
        x = as_tensor(images[shown[pick]], device)
        if rng.random() < 0.5:
            x = x.flip(-1)
        x = x + torch.randn_like(x) * float(rng.uniform(0, 0.08))
        if rng.random() < 0.3:  # pictures from a model are softer than the studio's
            x = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear")
        with autocast(device):
            logits = model(x)
        wanted = facts[torch.from_numpy(pick)].to(device)
        losses = [F.cross_entropy(one.float(), wanted[:, i], label_smoothing=0.05) for i, one in enumerate(logits)]
        loss = torch.stack(losses).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        journal.note(loss)
    save_state(out / "classifier.pt", parts, journal)
    return model.to("cpu").eval()
