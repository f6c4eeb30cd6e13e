"""Starting weights from VGG16 files: whatever the file and the encoder, the same features come out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from realtime_matting.errors import InputError
from train.networks.dim import DIM
from train.networks.mnet import VGG16_DEPTHS, MNet
from train.networks.vgg import conv_norm_pairs, start_from_vgg16

WIDTHS = (4, 6, 6, 8, 8)
MAP = 7  # side of the map that VGG16's first fully connected layer sees


def vgg16(*, batch_norm: bool) -> nn.Module:
    """VGG16's features and first fully connected layer, of toy widths, in the standard order; made-up weights."""
    torch.manual_seed(3)
    layers: list[nn.Module] = []
    cin = 3
    for width, depth in zip(WIDTHS, VGG16_DEPTHS, strict=True):
        for _ in range(depth):
            layers.append(nn.Conv2d(cin, width, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU())
            cin = width
        layers.append(nn.MaxPool2d(2))
    network = nn.Module()
    network.features = nn.Sequential(*layers)
    network.classifier = nn.Sequential(nn.Linear(cin * MAP * MAP, 8 * cin))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                module.bias.normal_(0, 0.3)  # type: ignore[union-attr]
            elif isinstance(module, nn.BatchNorm2d):
                for values in (module.weight, module.bias, module.running_mean, module.running_var):
                    values.uniform_(0.4, 1.6)  # type: ignore[union-attr]
    return network.eval()


def save_pth(network: nn.Module, folder: Path) -> Path:
    torch.save(network.state_dict(), folder / "vgg16.pth")
    return folder / "vgg16.pth"


def save_safetensors(network: nn.Module, folder: Path) -> Path:
    save_file(network.state_dict(), folder / "vgg16.safetensors")
    return folder / "vgg16.safetensors"


def npz_arrays(network: nn.Module) -> dict[str, np.ndarray]:
    """The layout of the .npz files: (k, k, in, out), for RGB from 0 to 255 less its mean."""
    names = [f"{stage}_{i + 1}" for stage, depth in enumerate(VGG16_DEPTHS, 1) for i in range(depth)]
    arrays = {}
    for name, (conv, _) in zip(names, conv_norm_pairs(network), strict=True):
        assert conv.bias is not None
        weight = conv.weight.detach().clone()
        if name == "1_1":
            weight /= 255 * torch.tensor(DIM.std)[:, None, None]
        arrays[f"conv{name}_W"] = weight.permute(2, 3, 1, 0).numpy()
        arrays[f"conv{name}_b"] = conv.bias.detach().numpy()
    linear = network.get_submodule("classifier.0")
    flat = linear.weight.detach().unflatten(1, (WIDTHS[-1], MAP, MAP))  # type: ignore[operator]
    arrays["fc6_W"] = flat.permute(2, 3, 1, 0).flatten(0, 2).numpy()
    arrays["fc6_b"] = linear.bias.detach().numpy()  # type: ignore[operator]
    return arrays


def save_npz(network: nn.Module, folder: Path) -> Path:
    np.savez(folder / "vgg16.npz", **npz_arrays(network))
    return folder / "vgg16.npz"


def features(stages: nn.ModuleList, x: Tensor) -> Tensor:
    """What an encoder makes of its input, pooled after every stage as VGG16 does."""
    for stage in stages:
        x = nn.functional.max_pool2d(stage(x), 2)
    return x


FILES = [
    pytest.param(save_pth, True, id="pth-bn"),
    pytest.param(save_pth, False, id="pth"),
    pytest.param(save_safetensors, True, id="safetensors-bn"),
    pytest.param(save_npz, False, id="npz"),
]
Save = Callable[[nn.Module, Path], Path]


@pytest.mark.parametrize(("save", "stored_norm"), FILES)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_dims_encoder_computes_what_vgg16_does_whatever_the_trimap(
    save: Save, stored_norm: bool, batch_norm: bool, tmp_path: Path
) -> None:
    vgg, network = vgg16(batch_norm=stored_norm), DIM(widths=WIDTHS, batch_norm=batch_norm).eval()
    start_from_vgg16(network.encoder_decoder.encoder, save(vgg, tmp_path))
    rgb, trimap = torch.randn(1, 3, 64, 64), torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        expected = vgg.get_submodule("features")(rgb)
        found = features(network.encoder_decoder.encoder, torch.cat([rgb, trimap], dim=1))
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_first_layer_ignores_the_trimap_and_then_learns_from_it(tmp_path: Path) -> None:
    vgg, network = vgg16(batch_norm=False), DIM(widths=WIDTHS)
    encoder = network.encoder_decoder.encoder
    start_from_vgg16(encoder, save_pth(vgg, tmp_path))
    first: nn.Conv2d = encoder[0][0][0]  # type: ignore[index]
    rgb, trimap = torch.randn(1, 3, 8, 8), torch.randn(1, 1, 8, 8)
    plain = vgg.get_submodule("features.0")(rgb)
    torch.testing.assert_close(first(torch.cat([rgb, trimap], dim=1)), plain)
    first(torch.cat([rgb, trimap], dim=1)).square().sum().backward()
    assert first.weight.grad is not None
    assert first.weight.grad[:, 3].abs().sum() > 0


@pytest.mark.parametrize(("save", "stored_norm"), FILES)
def test_the_m_nets_three_trimap_channels_start_at_zero(save: Save, stored_norm: bool, tmp_path: Path) -> None:
    vgg, network = vgg16(batch_norm=stored_norm), MNet(WIDTHS).eval()
    start_from_vgg16(network.encoder, save(vgg, tmp_path))
    rgb, trimap = torch.randn(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        found = features(network.encoder, torch.cat([rgb, trimap], dim=1))
        torch.testing.assert_close(found, vgg.get_submodule("features")(rgb), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("save", [save_pth, save_npz], ids=["pth", "npz"])
def test_conv6_of_kernel_7_computes_what_the_first_fully_connected_layer_does(save: Save, tmp_path: Path) -> None:
    vgg, model = vgg16(batch_norm=False), DIM(widths=WIDTHS, bottleneck=7).encoder_decoder
    assert start_from_vgg16(model.encoder, save(vgg, tmp_path), model.conv6)
    pooled = torch.randn(1, WIDTHS[-1], MAP, MAP)
    with torch.no_grad():
        expected = torch.relu(vgg.get_submodule("classifier.0")(pooled.flatten(1)))
        torch.testing.assert_close(model.conv6(pooled)[..., MAP // 2, MAP // 2], expected, rtol=1e-4, atol=1e-4)


def test_without_the_fully_connected_layer_conv6_stays_as_it_was(tmp_path: Path) -> None:
    tensors = {k: v for k, v in vgg16(batch_norm=False).state_dict().items() if k.startswith("features")}
    torch.save(tensors, tmp_path / "features.pth")
    model = DIM(widths=WIDTHS, bottleneck=7).encoder_decoder
    before = model.conv6[0].weight.clone()  # type: ignore[operator]
    assert not start_from_vgg16(model.encoder, tmp_path / "features.pth", model.conv6)
    assert torch.equal(model.conv6[0].weight, before)  # type: ignore[arg-type]


def write_text(path: Path) -> None:
    path.write_text("not a network")


def write_truncated(path: Path) -> None:
    whole = save_pth(vgg16(batch_norm=False), path.parent).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def write_object(path: Path) -> None:
    torch.save(vgg16(batch_norm=False), path)


def write_list(path: Path) -> None:
    torch.save([torch.zeros(3)], path)


def write_other_network(path: Path) -> None:
    torch.save({"layer1.weight": torch.zeros(3)}, path)


def write_too_few(path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(4, 3, 3, 3), "features.0.bias": torch.zeros(4)}, path)


def write_no_bias(path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(4, 3, 3, 3)}, path)


def write_empty_npz(path: Path) -> None:
    np.savez(path, other=np.zeros(3))


def write_wider(path: Path) -> None:
    tensors = vgg16(batch_norm=False).state_dict()
    tensors["features.5.weight"] = torch.zeros(9, 4, 3, 3)
    torch.save(tensors, path)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("missing.pth", lambda path: None, "no such file"),
        ("text.pth", write_text, "not a file of plain tensors"),
        ("half.pth", write_truncated, "not a file of plain tensors"),
        ("text.npz", write_text, r"not a (file of plain tensors|\.npz file)"),
        ("text.safetensors", write_text, r"not a \.safetensors file"),
        ("object.pth", write_object, "not a file of plain tensors"),
        ("list.pth", write_list, "holds no state dict"),
        ("other.pth", write_other_network, "has no features.N.weight"),
        ("few.pth", write_too_few, "holds 1 convolutions, the encoder has 13"),
        ("nobias.pth", write_no_bias, "'features.0.bias' is missing"),
        ("empty.npz", write_empty_npz, "has no conv1_1_W"),
        ("wider.pth", write_wider, r"features.5.weight has the shape \(9, 4, 3, 3\)"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line_and_changes_nothing(
    name: str, write: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    encoder = DIM(widths=WIDTHS).encoder_decoder.encoder
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    with pytest.raises(InputError, match=message) as caught:
        start_from_vgg16(encoder, tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[k]) for k, value in encoder.state_dict().items())


def test_a_fully_connected_layer_of_another_size_is_refused(tmp_path: Path) -> None:
    tensors = vgg16(batch_norm=False).state_dict()
    tensors["classifier.0.weight"] = torch.zeros(5, 40)
    torch.save(tensors, tmp_path / "vgg.pth")
    model = DIM(widths=WIDTHS, bottleneck=7).encoder_decoder
    with pytest.raises(InputError, match=r"classifier\.0\.weight has the shape \(5, 40\)"):
        start_from_vgg16(model.encoder, tmp_path / "vgg.pth", model.conv6)
