"""Write torch_*.pth: files of torch.save in both forms, and what their tensors hold.

Run by hand where PyTorch is installed (CPU; written with 2.13):

    python tests/golden/make_torch_files.py

``torch_state.pth`` and ``torch_state_old.pth`` hold one state dict in the ZIP form and in the form
before version 1.6: tensors of all types, of one storage, turned, spread, empty and single.
``torch_state.safetensors`` holds the same as float32 or int64, as torch converts them.
``torch_net.pth`` is the state dict of a small convolutional network inside a checkpoint with its
optimiser, ``torch_net.safetensors`` has pictures and the logits of that network.
"""

import pathlib
from collections import OrderedDict

import torch
from safetensors.torch import save_file
from torch import nn

HERE = pathlib.Path(__file__).parent
SEED = 1998


def state():
    generator = torch.Generator().manual_seed(SEED)
    base = torch.randn(6, 5, generator=generator)
    found = OrderedDict(
        plain=base,
        part=base[1:4, ::2],  # of the same storage, with gaps
        turned=base.t(),
        spread=torch.tensor([1.5, -2.0]).reshape(2, 1).expand(2, 3),
        channels_last=torch.randn(2, 3, 4, 5, generator=generator).contiguous(
            memory_format=torch.channels_last
        ),
        parameter=nn.Parameter(torch.randn(3, generator=generator)),
        empty=torch.zeros(0, 4),
        single=torch.tensor(7.25),
        counter=torch.tensor(3),
        f64=torch.randn(4, generator=generator, dtype=torch.float64),
        f16=torch.randn(4, generator=generator).half(),
        bf16=torch.randn(4, generator=generator).bfloat16(),
        i32=torch.tensor([1, -2], dtype=torch.int32),
        i16=torch.tensor([300, -2], dtype=torch.int16),
        i8=torch.tensor([100, -2], dtype=torch.int8),
        u8=torch.tensor([200, 2], dtype=torch.uint8),
        yes=torch.tensor([True, False]),
    )
    found._metadata = OrderedDict({"": {"version": 1}})
    return found


def network():
    torch.manual_seed(SEED)
    net = nn.Sequential(
        nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(4 * 2 * 5, 6),
    )
    with torch.no_grad():
        net[1].running_mean.copy_(torch.randn(4))
        net[1].running_var.copy_(torch.rand(4) + 0.5)
    return net.eval()


def main():
    tensors = state()
    torch.save(tensors, HERE / "torch_state.pth")
    torch.save(tensors, HERE / "torch_state_old.pth", _use_new_zipfile_serialization=False)
    plain = {
        name: x.detach().to(torch.float32 if x.is_floating_point() else torch.int64).contiguous()
        for name, x in tensors.items()
    }
    save_file({name: x.clone() for name, x in plain.items()}, HERE / "torch_state.safetensors")
    net = network()
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 3, 9, 10)).sum().backward()
    optimiser.step()
    checkpoint = {
        "epoch": 3,
        "loss": 0.25,
        "name": "small",
        "state_dict": net.state_dict(),
        "optimizer": optimiser.state_dict(),
    }
    torch.save(checkpoint, HERE / "torch_net.pth")
    pictures = torch.randn(3, 3, 9, 10)
    save_file(
        {"pictures": pictures, "logits": net.double()(pictures.double()).detach()},
        HERE / "torch_net.safetensors",
    )


if __name__ == "__main__":
    main()
