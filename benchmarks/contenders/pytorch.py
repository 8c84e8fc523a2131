"""PyTorch as a contender: reads a question a line, answers with a JSON object a line. See pytorch.ts."""

import json
import sys


def answer(**values):
    print(json.dumps(values), flush=True)


try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError:
    answer(absent="PyTorch is not installed for python3")
    sys.exit()
if not torch.cuda.is_available():
    answer(absent="PyTorch finds no CUDA device")
    sys.exit()

precision = sys.argv[1]
device = torch.device("cuda")
torch.set_default_device(device)
torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
torch.backends.cudnn.allow_tf32 = precision == "tf32"
element = torch.bfloat16 if precision == "bf16" else torch.float32


def autocast():
    return torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bf16")


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """CLIP's residual attention block on [batch, length, width]."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), QuickGELU(), nn.Linear(4 * width, width))

    def forward(self, x, causal=False):
        batch, length, width = x.shape
        parts = self.qkv(self.ln_1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.ln_2(x))


class ImageTower(nn.Module):
    def __init__(self, sizes, embedding):
        super().__init__()
        width, patch = sizes["width"], sizes["patch"]
        tokens = (sizes["resolution"] // patch) ** 2 + 1
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positional_embedding = nn.Parameter(torch.randn(tokens, width) * width**-0.5)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, sizes["heads"]) for _ in range(sizes["layers"]))
        self.proj = nn.Parameter(torch.randn(width, embedding) * width**-0.5)

    def forward(self, images):
        x = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.to(x.dtype).expand(len(x), 1, -1)
        x = self.ln_pre(torch.cat([first, x], 1) + self.positional_embedding)
        for block in self.blocks:
            x = block(x)
        return self.ln_post(x[:, 0]) @ self.proj


class TextTower(nn.Module):
    def __init__(self, sizes, embedding):
        super().__init__()
        width = sizes["width"]
        self.token_embedding = nn.Embedding(sizes["vocabulary"], width)
        self.positional_embedding = nn.Parameter(torch.randn(sizes["context"], width) * 0.01)
        self.blocks = nn.ModuleList(Block(width, sizes["heads"]) for _ in range(sizes["layers"]))
        self.ln_final = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, embedding) * width**-0.5)

    def forward(self, tokens):
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, causal=True)
        return self.ln_final(x)[torch.arange(len(x)), tokens.argmax(1)] @ self.proj


class ActionCLIP(nn.Module):
    """Both towers and the temporal transformer over frames."""

    def __init__(self, sizes, frames):
        super().__init__()
        width = sizes["embedding"]
        self.visual, self.text = ImageTower(sizes["vision"], width), TextTower(sizes["text"], width)
        self.frame_positions = nn.Parameter(torch.randn(frames, width) * 0.02)
        self.temporal = nn.ModuleList(Block(width, width // 64) for _ in range(6))
        self.logit_scale = nn.Parameter(torch.tensor(2.66))

    def forward(self, clips, tokens):
        batch, frames = clips.shape[:2]
        features = self.visual(clips.flatten(0, 1)).view(batch, frames, -1)
        x = features + self.frame_positions
        for block in self.temporal:
            x = block(x)
        video = F.normalize((x + features).mean(1), dim=-1)
        text = F.normalize(self.text(tokens), dim=-1)
        logits = self.logit_scale.exp() * video @ text.T
        return logits, logits.T


def drawn(*shape, grad=False):
    return torch.randn(shape, dtype=element, requires_grad=grad)


def matmul(work):
    def stored(rows, columns, turned):
        matrix = (columns, rows) if turned else (rows, columns)
        return drawn(*(matrix if work["batch"] == 1 else (work["batch"], *matrix)))

    left = stored(work["m"], work["k"], work.get("transposeLeft"))
    right = stored(work["k"], work["n"], work.get("transposeRight"))
    a = left.mT if work.get("transposeLeft") else left
    b = right.mT if work.get("transposeRight") else right
    return lambda: a @ b


def forward_or_backward(forward, inputs, backward):
    """A run of `forward`, or of its gradient alone: the graph is built once and kept."""
    if not backward:
        return lambda: forward(*inputs)
    for value in inputs:
        value.requires_grad_()
    output = forward(*inputs)
    slope = torch.randn_like(output)
    return lambda: torch.autograd.grad(output, inputs, slope, retain_graph=True)


def layer_norm(work):
    weight, bias = drawn(work["width"]), drawn(work["width"])
    forward = lambda x: F.layer_norm(x, [work["width"]], weight, bias)
    return forward_or_backward(forward, [drawn(work["rows"], work["width"])], work.get("backward"))


def softmax(work):
    return forward_or_backward(lambda x: x.softmax(-1), [drawn(work["rows"], work["width"])], work.get("backward"))


def attention(work):
    shape = (1, work["heads"], work["length"], work["width"])
    inputs = [drawn(*shape) for _ in range(3)]
    return forward_or_backward(F.scaled_dot_product_attention, inputs, work.get("backward"))


def adamw(work):
    parameters = list(ImageTower(work["sizes"]["vision"], work["sizes"]["embedding"]).parameters())
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    return torch.optim.AdamW(parameters, lr=1e-6, fused=True).step


def image_tower(work):
    tower = ImageTower(work["sizes"]["vision"], work["sizes"]["embedding"]).eval()
    side = work["sizes"]["vision"]["resolution"]
    images = torch.randn(work.get("images", 1), 3, side, side)

    def run():
        with torch.no_grad(), autocast():
            return tower(images)

    return run


def training_step(work):
    model = ActionCLIP(work["sizes"], work["frames"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    batch, side = work["batch"], work["sizes"]["vision"]["resolution"]
    frames = torch.randint(0, 256, (batch, work["frames"], 3, side, side), dtype=torch.uint8)
    tokens = torch.randint(1, work["sizes"]["text"]["vocabulary"], (batch, work["textLength"]))
    target = torch.eye(batch).softmax(-1)

    def run():
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            logits = model((frames.float() / 255 - 0.45) / 0.27, tokens)
            loss = sum(F.kl_div(one.float().log_softmax(-1), target, reduction="batchmean") for one in logits) / 2
        loss.backward()
        optimizer.step()

    return run


def copy(work):
    source = torch.zeros(work["bytes"] // 4, dtype=torch.float32)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


kinds = {
    "matmul": matmul,
    "layerNorm": layer_norm,
    "softmax": softmax,
    "attention": attention,
    "adamw": adamw,
    "imageTower": image_tower,
    "trainingStep": training_step,
    "copy": copy,
}

answer(description=f"PyTorch {torch.__version__}, {precision}, {torch.cuda.get_device_name()}")
run, failure = None, None
for line in sys.stdin:
    question = json.loads(line)
    try:
        if "prepare" in question:
            run = kinds[question["prepare"]["kind"]](question["prepare"])
            answer()
        elif "run" in question:
            run()
        else:
            torch.cuda.synchronize()
            answer(**({} if failure is None else {"failed": failure}))
    except Exception as error:  # told to the process that asked
        failure = f"{type(error).__name__}: {error}"
        if "run" not in question:
            answer(failed=failure)
