"""Write torch_*.safetensors: small networks with torchvision's names, and what torch makes of them.

Run by hand where PyTorch is installed (CPU; written with 2.13), torchvision is not needed:

    python tests/golden/make_torch_weights.py

Convolutions have 1/16 of their maps, hidden dense layers 1/256 of their numbers, there are 7
classes. Each file holds the state dict, ``pictures`` (uint8, N×3×H×W, H≠W) and ``logits`` (N×7) of
the pictures as (p − 128) / 64. Logits are computed in float64 from the float32 weights, so they do
not depend on the order in which some version of torch adds.
"""

import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

HERE = pathlib.Path(__file__).parent
SEED, CLASSES, PICTURES = 1998, 7, 3


def maps(count):
    return max(1, count // 16)


HIDDEN = 4096 // 256


# ------------------------------------------------------------------------------------- networks
class Sequential(nn.Module):
    """The frame of AlexNet and VGG."""

    def __init__(self, features, size, channels, dropout_first):
        super().__init__()
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(size)
        first = nn.Linear(channels * size * size, HIDDEN)
        second, last = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, CLASSES)
        if dropout_first:
            layers = [nn.Dropout(), first, nn.ReLU(), nn.Dropout(), second, nn.ReLU(), last]
        else:
            layers = [first, nn.ReLU(), nn.Dropout(), second, nn.ReLU(), nn.Dropout(), last]
        self.classifier = nn.Sequential(*layers)

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def alexnet():
    channels, layers = 3, []
    for count, kernel, stride, pad, pooled in [
        (64, 11, 4, 2, True),
        (192, 5, 1, 2, True),
        (384, 3, 1, 1, False),
        (256, 3, 1, 1, False),
        (256, 3, 1, 1, True),
    ]:
        layers += [nn.Conv2d(channels, maps(count), kernel, stride, pad), nn.ReLU()]
        layers += [nn.MaxPool2d(3, 2)] * pooled
        channels = maps(count)
    return Sequential(layers, 6, channels, dropout_first=True)


def vgg(*blocks):
    channels, layers = 3, []
    for count, convolutions in blocks:
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, maps(count), 3, padding=1), nn.ReLU()]
            channels = maps(count)
        layers.append(nn.MaxPool2d(2))
    return Sequential(layers, 7, channels, dropout_first=False)


class Block(nn.Module):
    """Two convolutions of 3×3, or one between two of 1×1, around which the input goes."""

    def __init__(self, before, width, stride, wide):
        super().__init__()
        after = 4 * width if wide else width
        if wide:
            plan = [(before, width, 1, 1), (width, width, 3, stride), (width, after, 1, 1)]
        else:
            plan = [(before, width, 3, stride), (width, after, 3, 1)]
        self.length = len(plan)
        for number, (inside, outside, kernel, step) in enumerate(plan, start=1):
            conv = nn.Conv2d(inside, outside, kernel, step, kernel // 2, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", nn.BatchNorm2d(outside))
        self.downsample = None
        if stride != 1 or before != after:
            conv = nn.Conv2d(before, after, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(after))

    def forward(self, x):
        y = x
        for number in range(1, self.length + 1):
            y = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(y))
            if number < self.length:
                y = functional.relu(y)
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, counts, wide):
        super().__init__()
        channels = maps(64)
        self.conv1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        for stage, count in enumerate(counts, start=1):
            width, blocks = maps(32 * 2**stage), []
            for number in range(count):
                stride = 2 if stage > 1 and number == 0 else 1
                blocks.append(Block(channels, width, stride, wide))
                channels = 4 * width if wide else width
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


class Unit(nn.Module):
    """Convolution, batch normalisation, ReLU: what GoogLeNet is made of."""

    def __init__(self, before, after, kernel, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x):
        return functional.relu(self.bn(self.conv(x)))


class Module(nn.Module):
    def __init__(self, before, one, before_three, three, before_wide, many, pooled):
        super().__init__()
        self.branch1 = Unit(before, one, 1)
        self.branch2 = nn.Sequential(Unit(before, before_three, 1), Unit(before_three, three, 3))
        self.branch3 = nn.Sequential(Unit(before, before_wide, 1), Unit(before_wide, many, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Unit(before, pooled, 1))

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.children()], 1)


class GoogLeNet(nn.Module):
    SIZES = (
        ("3a", 64, 96, 128, 16, 32, 32),
        ("3b", 128, 128, 192, 32, 96, 64),
        ("4a", 192, 96, 208, 16, 48, 64),
        ("4b", 160, 112, 224, 24, 64, 64),
        ("4c", 128, 128, 256, 24, 64, 64),
        ("4d", 112, 144, 288, 32, 64, 64),
        ("4e", 256, 160, 320, 32, 128, 128),
        ("5a", 256, 160, 320, 32, 128, 128),
        ("5b", 384, 192, 384, 48, 128, 128),
    )

    def __init__(self):
        super().__init__()
        self.conv1 = Unit(3, maps(64), 7, 2)
        self.conv2 = Unit(maps(64), maps(64), 1)
        self.conv3 = Unit(maps(64), maps(192), 3)
        channels = maps(192)
        for name, *sizes in self.SIZES:
            counts = [maps(size) for size in sizes]
            self.add_module(f"inception{name}", Module(channels, *counts))
            channels = counts[0] + counts[2] + counts[4] + counts[5]
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, x):
        x = functional.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True)
        x = functional.max_pool2d(self.conv3(self.conv2(x)), 3, 2, ceil_mode=True)
        for name, *_ in self.SIZES:
            x = self.get_submodule(f"inception{name}")(x)
            if name in ("3b", "4e"):
                x = functional.max_pool2d(x, 3 if name == "3b" else 2, 2, ceil_mode=True)
        return self.fc(x.mean((2, 3)))


NETWORKS = {
    "alexnet": (alexnet, (95, 67)),
    "vgg11": (lambda: vgg((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)), (70, 97)),
    "resnet18": (lambda: ResNet((2, 2, 2, 2), wide=False), (65, 59)),
    "resnet50": (lambda: ResNet((3, 4, 6, 3), wide=True), (59, 65)),
    "googlenet": (GoogLeNet, (65, 53)),
}
"""Name -> how it is made, rows and columns of its pictures."""


# ------------------------------------------------------------------------------------- contents
def pictures(count, rows, columns):
    """Soft shapes under noise, so that pictures differ in more than noise."""
    soft = torch.rand(count, 3, 4, 5) * 200
    soft = functional.interpolate(soft, (rows, columns), mode="bilinear", align_corners=False)
    return (soft + torch.rand(count, 3, rows, columns) * 55).to(torch.uint8)


def scaled(images):
    return (images.float() - 128) / 64


def fill(network, rows, columns):
    """Weights that keep the size of values, and statistics of batches like those of training."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                inputs = module.weight[0].numel()
                module.weight.normal_(0, (2 / inputs) ** 0.5)
                # sums near 0 see how pictures differ, not only what all of them share
                inside = tuple(range(1, module.weight.ndim))
                module.weight -= 0.9 * module.weight.mean(inside, keepdim=True)
                if module.bias is not None:
                    module.bias.normal_(0, 0.1)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
        network.train()
        for _ in range(8):
            network(scaled(pictures(4, rows, columns)))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean += torch.randn_like(module.running_mean) * 0.05
    network.eval()


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    total = 0
    for number, (name, (make, (rows, columns))) in enumerate(NETWORKS.items()):
        torch.manual_seed(SEED + number)
        network = make()
        fill(network, rows, columns)
        state = {key: value.clone() for key, value in network.state_dict().items()}
        images = pictures(PICTURES, rows, columns)
        with torch.no_grad():
            single = network(scaled(images))
            logits = network.double()(scaled(images).double()).float()
        spread = (logits - logits.mean(0)).abs().max() / logits.abs().max()
        rounding = (single - logits).abs().max() / logits.abs().max()
        assert spread > 0.1, f"{name}: all pictures give the same"
        assert rounding < 1e-5, f"{name}: float32 is too coarse"
        path = HERE / f"torch_{name}.safetensors"
        save_file({**state, "pictures": images, "logits": logits}, path)
        path.chmod(0o644)
        total += path.stat().st_size
        print(
            f"{path.name}: {path.stat().st_size} bytes, {len(state)} arrays, largest logit "
            f"{logits.abs().max():.3g}, pictures differ by {spread:.2f}, float32 by {rounding:.1e}"
        )
    print(f"{total} bytes")


if __name__ == "__main__":
    main()
