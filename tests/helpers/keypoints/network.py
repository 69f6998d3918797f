"""The network: torch, imported when it is built."""

import torch
from torch import nn


class PoseNetwork(nn.Module):
    def __init__(self, variant):
        super().__init__()
        self.first = nn.Conv2d(3, variant.channels, 3, 4, 1)
        self.second = nn.Conv2d(variant.channels, variant.channels, 3, 4, 1)
        self.points = nn.Conv2d(variant.channels, 51, 4)

    def forward(self, x):
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return {"keypoints": torch.sigmoid(self.points(x)).reshape(-1, 17, 3)}
