"""MobileNetV2 for images of 32 x 32, as a user has it: plain PyTorch that knows nothing of pruning."""

from torch import Tensor, nn

# Of each stage: what hidden channels multiply the input's by, output channels, blocks, and the stride of the first.
_STAGES = ((1, 16, 1, 1), (3, 24, 2, 1), (4, 32, 2, 2), (4, 64, 3, 2))


def _conv(inputs: int, outputs: int, kernel: int = 1, **options: int) -> list[nn.Module]:
    """Return a convolution that keeps the size, with its normalization."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **options)
    return [convolution, nn.BatchNorm2d(outputs)]


class Block(nn.Module):
    """An inverted residual: a wide depthwise convolution between two narrow ends."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, stride: int):
        super().__init__()
        hidden = expansion * inputs
        self.adds = stride == 1 and inputs == outputs
        wide = [*_conv(inputs, hidden), nn.ReLU6()] if expansion > 1 else []
        depthwise = [*_conv(hidden, hidden, 3, stride=stride, groups=hidden), nn.ReLU6()]
        self.layers = nn.Sequential(*wide, *depthwise, *_conv(hidden, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of the next block, `(B, outputs, H / stride, W / stride)`."""
        return x + self.layers(x) if self.adds else self.layers(x)


class MobileNetV2(nn.Module):
    """Eight inverted residuals in four stages: a small relative of the original (Sandler et al. 2018)."""

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 16, last: int = 256):
        super().__init__()
        layers = [*_conv(in_channels, width, 3, stride=2), nn.ReLU6()]
        for expansion, outputs, blocks, stride in _STAGES:
            for index in range(blocks):
                layers.append(Block(width, outputs, expansion=expansion, stride=1 if index else stride))
                width = outputs
        self.features = nn.Sequential(*layers, *_conv(width, last), nn.ReLU6())
        self.classifier = nn.Linear(last, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, `(B, num_classes)`, of images `(B, in_channels, H, W)`."""
        return self.classifier(self.features(x).mean((2, 3)))
