"""The plain loop of PyTorch's MNIST example, with a DataLoader."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from peers.common import (
    DECAY,
    EVERY,
    GAMMA,
    LR,
    MOMENTUM,
    Report,
    device,
    loaders,
    network,
    options,
)


def main() -> None:
    """Train and test."""
    chosen = options()
    where = device()
    model = network().to(where)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, EVERY, GAMMA)
    train, test = loaders(chosen)
    report = Report()
    for _ in range(chosen.epochs):
        model.train()
        for images, labels in train:
            images, labels = images.to(where), labels.to(where)
            optimizer.zero_grad()
            with torch.autocast(where, torch.bfloat16, enabled=chosen.bf16):
                scores = model(images)
            loss = F.cross_entropy(scores.float(), labels)
            loss.backward()
            optimizer.step()
        schedule.step()
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in test:
                images, labels = images.to(where), labels.to(where)
                correct += (model(images).argmax(1) == labels).sum().item()
        report.epoch(100 * correct / len(test.dataset))


if __name__ == "__main__":
    main()
