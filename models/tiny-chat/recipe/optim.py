"""Muon (orthogonalised momentum) for the hidden matrices, AdamW for the rest."""
import torch


def orthogonalise(g, steps=5, dtype=torch.float32):
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrix; g: [n, r, c]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g
    flip = x.shape[-2] > x.shape[-1]
    if flip:
        x = x.transpose(-1, -2)
    x = (x / (x.flatten(1).norm(dim=1).view(-1, 1, 1) + 1e-7)).to(dtype)
    for _ in range(steps):
        s = x @ x.transpose(-1, -2)
        x = a * x + (b * s + c * (s @ s)) @ x
    return x.transpose(-1, -2) if flip else x


class Muon:
    """Matrices of one shape are stacked and stepped together."""
    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0, dtype=torch.float32):
        self.lr, self.momentum, self.wd, self.dtype = lr, momentum, weight_decay, dtype
        groups = {}
        for p in params:
            groups.setdefault(tuple(p.shape), []).append(p)
        self.groups = list(groups.values())
        self.bufs = [torch.zeros((len(g), *g[0].shape), device=g[0].device) for g in self.groups]

    @torch.no_grad()
    def step(self, scale):
        lr = self.lr * scale
        for g, buf in zip(self.groups, self.bufs):
            grad = torch.stack([p.grad for p in g]).float()
            buf.lerp_(grad, 1 - self.momentum)
            upd = orthogonalise(grad.lerp(buf, self.momentum), dtype=self.dtype).float()
            torch._foreach_mul_(g, 1 - lr * self.wd)
            torch._foreach_add_(g, list(upd.unbind()), alpha=-lr * 0.2 * max(g[0].shape) ** 0.5)

    def forget(self):
        for b in self.bufs: b.zero_()
