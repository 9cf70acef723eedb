"""Trains the demo model's upscaler: `python -m infra.demo.upscaler --model infra/demo/model --out DIR --minutes 60`.

It learns from photographs of the studio four times as large as the model draws. What it is given is such a photograph,
made small and soft, and sent through the model's VAE with noise on its latents, so that it mends what the VAE and the
UNet get wrong. The network is Real-ESRGAN's compact one (Wang et al. 2021, arXiv:2107.10833): convolutions at the small
size, and at the end each pixel becomes a square. First it learns to be near the photographs, which leaves textures
soft, then to deceive a judge that learns to tell them. It is written to MODEL/upscaler.onnx. A killed run goes on where
it was.
"""

import argparse
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from infra.demo.autoencoder import as_tensor, reconstruction_loss
from infra.demo.dataset import load_dataset, write_dataset
from infra.demo.parts import Vae
from infra.demo.progress import Journal, backward, load_state, save_state

log = logging.getLogger(__name__)

FACTOR = 4
NOISE = 0.35  # of latents of unit deviation, and
SOFT = 1.5  # pixels of blur, at most: about what a UNet of this size gets wrong
VERSIONS = 4  # of each photograph
PATCH = 48  # pixels a side, of the small picture
SAVE_EVERY = 120.0  # seconds
HELD = 16  # photographs to measure with
SHARES = {"upscaler near": 0.25, "upscaler crisp": 0.75}  # of the minutes
NEAR, DECEIVE = 0.3, 0.1  # weights of pixels and of the verdict beside features; less and more draw patterns


class Upscaler(nn.Module):
    """Pictures (n, 3, h, w) in [0, 1] to (n, 3, 4h, 4w): what scaling makes of them, and the detail that it lacks."""

    def __init__(self, width: int = 40, depth: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3 if not n else width, width, 3, padding=1) for n in range(depth + 1)])
        self.bends = nn.ModuleList([nn.PReLU(width) for _ in range(depth + 1)])
        self.last = nn.Conv2d(width, 3 * FACTOR**2, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y = x
        for layer, bend in zip(self.layers, self.bends, strict=True):
            y = bend(layer(y))
        return F.pixel_shuffle(self.last(y), FACTOR) + F.interpolate(x, scale_factor=FACTOR, mode="bilinear")


class Judge(nn.Module):
    """Tells photographs from what the network makes of small pictures, square by square (Isola et al. 2017)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [6, width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(
            [spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in pairwise(widths)]
        )
        self.last = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, large: Tensor, small: Tensor) -> list[Tensor]:
        """Its features of pictures (n, 3, 4h, 4w) beside the small ones (n, 3, h, w), and last its verdicts."""
        y = torch.cat([large, F.interpolate(small, scale_factor=FACTOR, mode="nearest")], 1) * 2 - 1
        found = []
        for layer in self.layers:
            y = F.leaky_relu(layer(y), 0.2)
            found.append(y)
        return [*found, self.last(y)]


@dataclass(frozen=True, slots=True)
class Run:
    """One training run: the model's folder, where it lies itself, and what it may take."""

    model: Path
    out: Path
    minutes: float
    photographs: int
    batch: int
    seed: int
    threads: int


def main(arguments: list[str] | None = None) -> Path:
    """Train the upscaler and return the file that it is written to."""
    parser = argparse.ArgumentParser(prog="python -m infra.demo.upscaler", description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("infra/demo/model"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--photographs", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="that share a batch, and processes that photograph")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return train(Run(**vars(parser.parse_args(arguments))))


def train(run: Run) -> Path:
    """Photograph, learn, export."""
    vae: Vae = AutoencoderKL.from_pretrained(run.model / "vae", use_safetensors=True, dtype=torch.float32).eval()
    size = vae.config.sample_size * FACTOR
    home = write_dataset(run.out / "data", run.photographs, run.seed, size, run.threads)
    large, _, _ = load_dataset(home, run.photographs)
    path = run.out / "drawn.npy"
    if not path.exists():
        np.save(path, as_drawn(vae, large, run.seed, run.threads))
    network = learn(large, np.load(path), run)
    file = run.model / "upscaler.onnx"
    export(network, file)
    log.info("the upscaler is ready in %s", file)
    return file


def as_drawn(vae: Vae, large: np.ndarray, seed: int, threads: int = 1) -> np.ndarray:
    """Photographs (n, 4s, 4s, 3) as the model might have drawn them: (n, VERSIONS, s, s, 3) uint8, ever rougher."""

    def versions(at: int) -> np.ndarray:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + at)
        small = F.avg_pool2d(as_tensor(large[at : at + 1], torch.device("cpu")), FACTOR)
        rough = np.linspace(0, 1, VERSIONS)
        soft = [gaussian_filter(small[0].numpy(), (0, SOFT * r, SOFT * r)) for r in rough]
        with torch.inference_mode():
            latents = vae.encode(torch.from_numpy(np.stack(soft))).latent_dist.mode()
            strength = torch.from_numpy(NOISE * rough).float()[:, None, None, None]
            noisy = latents + strength * torch.randn(latents.shape, generator=generator)
            pixels = vae.decode(noisy).sample.clamp(-1, 1)
        return ((pixels + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()

    with ThreadPoolExecutor(threads) as pool:
        return np.stack(list(pool.map(versions, range(len(large)))))


def learn(large: np.ndarray, drawn: np.ndarray, run: Run) -> Upscaler:
    """Train (or go on training): first to be near the photographs, then to be told from them by nobody."""
    torch.manual_seed(run.seed)
    network, judge = Upscaler(), Judge()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    _stage("upscaler near", run, large, drawn, {"model": network, "optimizer": optimizer}, partial(_nearer, network))
    optimizers = [torch.optim.AdamW(one.parameters(), lr=3e-4, betas=(0.5, 0.99)) for one in (network, judge)]
    parts = {"model": network, "judge": judge, "optimizer": optimizers[0], "judges": optimizers[1]}
    _stage("upscaler crisp", run, large, drawn, parts, partial(_crisper, network, judge))
    return network.eval()


def _stage(
    name: str, run: Run, large: np.ndarray, drawn: np.ndarray, parts: dict[str, Any], step: Callable[..., Tensor]
) -> None:
    """One stage's steps; the last photographs are kept to measure with."""
    optimizers = [part for part in parts.values() if isinstance(part, torch.optim.Optimizer)]
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    journal, path = Journal(run.out / "log.csv", name, run.minutes * SHARES[name]), run.out / f"{name}.pt"
    journal.resume(load_state(path, parts, torch.device("cpu")))
    rng, saved = np.random.default_rng([run.seed, journal.step, 8]), time.monotonic()
    while not journal.over():
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * journal.rate(warm=50)
        given, wanted = _patches(large[:-HELD], drawn[:-HELD], run.batch, rng)
        journal.note(step(given, wanted, *optimizers, threads=run.threads))
        if time.monotonic() - saved > SAVE_EVERY or journal.over():
            save_state(path, parts, journal)
            saved = time.monotonic()
            log.info("%s: PSNR %.2f", name, psnr(parts["model"], large[-HELD:], drawn[-HELD:, 1]))


def _nearer(network: Upscaler, given: Tensor, wanted: Tensor, optimizer: torch.optim.Optimizer, threads: int) -> Tensor:
    """One step towards the photographs; returns the loss."""

    def loss_of(part: slice) -> Tensor:
        return reconstruction_loss(network(given[part]) * 2 - 1, wanted[part] * 2 - 1)

    return _step(loss_of, network, optimizer, len(given), threads)


def _crisper(
    network: Upscaler,
    judge: "Judge",
    given: Tensor,
    wanted: Tensor,
    optimizer: torch.optim.Optimizer,
    judges: torch.optim.Optimizer,
    threads: int,
) -> Tensor:
    """One step of the judge, which learns to tell, and one of the network; returns the network's loss.

    Hinge losses, and the judge's own features as a measure of likeness (Wang et al. 2018, arXiv:1711.11585).
    """
    with torch.no_grad():
        made = network(given)

    def told(part: slice) -> Tensor:
        true, false = judge(wanted[part], given[part])[-1], judge(made[part], given[part])[-1]
        return F.relu(1 - true).mean() + F.relu(1 + false).mean()

    _step(told, judge, judges, len(given), threads)
    judge.requires_grad_(False)

    def loss_of(part: slice) -> Tensor:
        large = network(given[part])
        found, true = judge(large, given[part]), judge(wanted[part], given[part])
        alike = sum(F.l1_loss(a, b) for a, b in zip(found[:-1], true[:-1], strict=True))
        near = NEAR * reconstruction_loss(large * 2 - 1, wanted[part] * 2 - 1)
        return near + alike - DECEIVE * found[-1].mean()

    loss = _step(loss_of, network, optimizer, len(given), threads)
    judge.requires_grad_(True)
    return loss


def _step(
    loss_of: Callable[[slice], Tensor], model: nn.Module, optimizer: torch.optim.Optimizer, count: int, threads: int
) -> Tensor:
    loss = backward(loss_of, count, threads)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss


def _patches(large: np.ndarray, drawn: np.ndarray, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Squares of what the model might have drawn and of the photographs, (count, 3, side, side) in [0, 1]."""
    given, wanted = [], []
    patch = min(PATCH, drawn.shape[2])
    for _ in range(count):
        at, version = rng.integers(len(large)), rng.integers(VERSIONS)
        top, left = rng.integers(0, drawn.shape[2] - patch + 1, 2)
        small = drawn[at, version, top : top + patch, left : left + patch]
        true = large[at, FACTOR * top : FACTOR * (top + patch), FACTOR * left : FACTOR * (left + patch)]
        turned = slice(None, None, -1 if rng.random() < 0.5 else 1)
        given.append(small[:, turned])
        wanted.append(true[:, turned])
    return _in_unit(np.stack(given)), _in_unit(np.stack(wanted))


def _in_unit(images: np.ndarray) -> Tensor:
    return as_tensor(images, torch.device("cpu")).add_(1).div_(2)


@torch.inference_mode()
def psnr(network: nn.Module, large: np.ndarray, drawn: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of pictures (n, s, s, 3), enlarged, against the photographs (n, 4s, 4s, 3)."""
    found = [
        10 * torch.log10(1 / (network(_in_unit(small[None])).clamp(0, 1) - _in_unit(true[None])).square().mean())
        for small, true in zip(drawn, large, strict=True)
    ]
    return float(torch.stack(found).mean())


def export(network: Upscaler, file: Path) -> None:
    """Write the network as ONNX: picture (1, 3, h, w) in, (1, 3, 4h, 4w) out."""
    from onnx import TensorProto, helper, numpy_helper, save_model

    state = {name: values.numpy() for name, values in network.state_dict().items()}
    nodes, weights, name = [], [], "picture"

    def weight(title: str, values: Any) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), title))
        return title

    def node(kind: str, title: str, inputs: list[str], **more: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [title], **more))
        return title

    def convolve(layer: str, given: str) -> str:
        own = [weight(f"{layer}.{part}", state[f"{layer}.{part}"]) for part in ("weight", "bias")]
        return node("Conv", layer, [given, *own], pads=[1] * 4)

    for number in range(len(network.layers)):
        name = convolve(f"layers.{number}", name)
        slope = weight(f"bends.{number}.weight", state[f"bends.{number}.weight"][:, None, None])
        name = node("PRelu", f"bends.{number}", [name, slope])
    detail = node("DepthToSpace", "detail", [convolve("last", name)], blocksize=FACTOR, mode="CRD")
    scaled = node("Resize", "scaled", ["picture", "", weight("scales", [1, 1, FACTOR, FACTOR])], mode="linear")
    node("Add", "large", [detail, scaled])
    given = helper.make_tensor_value_info("picture", TensorProto.FLOAT, (1, 3, "height", "width"))
    answer = helper.make_tensor_value_info("large", TensorProto.FLOAT, (1, 3, "large height", "large width"))
    graph = helper.make_graph(nodes, "upscaler", [given], [answer], weights)
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)


if __name__ == "__main__":
    main()
