"""The lesson's data pipeline in PyTorch: pad by 3, cut 28×28 out at random, put on one scale.

As torchvision's RandomCrop(28, padding=3) and Normalize do it, picture by picture, which is how
PyTorch's own examples are written; and, as `whole`, a batch at a time.
"""

from __future__ import annotations

from typing import Any

from . import digits

PAD, SIDE = 3, 28


def loader(source: str, batch: int, seed: int, workers: int, whole: bool) -> Any:
    """A DataLoader over the training digits with `workers` processes; 0 works in this one."""
    import torch
    from torch.utils.data import DataLoader

    torch.manual_seed(seed)
    images, labels = (torch.from_numpy(array) for array in digits.arrays(source))
    data = _whole(images, labels) if whole else _one_by_one(images, labels)
    return DataLoader(
        data,
        batch_size=batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=_as_it_is if whole else None,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _scale(images: Any) -> tuple[float, float]:
    """Mean and standard deviation of the pictures, between 0 and 1."""
    sample = images[::16].float() / 255  # they lie sorted by class
    return float(sample.mean()), float(sample.std())


def _one_by_one(images: Any, labels: Any) -> Any:
    import torch
    from torch.nn import functional as F
    from torch.utils.data import Dataset

    mean, std = _scale(images)

    class Digits(Dataset):
        """One picture an index."""

        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, i: int) -> tuple[Any, Any]:
            page = F.pad(images[i][None], (PAD,) * 4)
            top, left = torch.randint(0, 2 * PAD + 1, (2,)).tolist()
            picture = page[:, top : top + SIDE, left : left + SIDE].float() / 255
            return (picture - mean) / std, labels[i]

    return Digits()


def _whole(images: Any, labels: Any) -> Any:
    import torch
    from torch.nn import functional as F
    from torch.utils.data import Dataset

    mean, std = _scale(images)
    side = torch.arange(SIDE)

    class Digits(Dataset):
        """A batch of indices at once: the fetcher asks for `__getitems__` where there is one."""

        def __len__(self) -> int:
            return len(images)

        def __getitems__(self, indices: list[int]) -> tuple[Any, Any]:
            chosen = torch.tensor(indices)
            page = F.pad(images[chosen], (PAD,) * 4)  # (N, 34, 34)
            top, left = torch.randint(0, 2 * PAD + 1, (2, len(indices), 1))
            rows, columns = (top + side)[:, :, None], (left + side)[:, None, :]
            picture = page[torch.arange(len(indices))[:, None, None], rows, columns].float() / 255
            return ((picture - mean) / std)[:, None], labels[chosen]

    return Digits()
