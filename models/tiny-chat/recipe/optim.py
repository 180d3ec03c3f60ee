"""Muon (orthogonalised momentum) for the hidden matrices, AdamW for the rest."""
import torch


def orthogonalise(g, steps=5, dtype=torch.float32):
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrix; g: [n, r, c]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g
    flip = x.shape[-2] > x.shape[-1]
    if flip:
        x = x.transpose(-1, -2)
    x = x.to(dtype) / (x.flatten(1).norm(dim=1).view(-1, 1, 1) + 1e-7)
    for _ in range(steps):
        s = x @ x.transpose(-1, -2)
        x = a * x + (b * s + c * (s @ s)) @ x
    return x.transpose(-1, -2) if flip else x


class Muon:
    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0, rank=0, world=1, dtype=torch.float32):
        self.rank, self.world, self.dtype = rank, world, dtype
        groups = {}
        for p in params:
            groups.setdefault(tuple(p.shape), []).append(p)
        self.groups = list(groups.values())
        self.bufs = [torch.zeros((len(g), *g[0].shape), device=g[0].device) for g in self.groups]
        self.lr, self.momentum, self.wd = lr, momentum, weight_decay

    @torch.no_grad()
    def step(self, scale):
        lr = self.lr * scale
        for g, buf in zip(self.groups, self.bufs):
            grad = torch.stack([p.grad for p in g]).float()
            buf.lerp_(grad, 1 - self.momentum)
            n = len(g)
            lo, hi = n * self.rank // self.world, n * (self.rank + 1) // self.world
            if self.world == 1:
                upd = orthogonalise(grad.lerp(buf, self.momentum), dtype=self.dtype)
            else:  # every process orthogonalises its share
                upd = torch.zeros_like(buf)
                if hi > lo:
                    upd[lo:hi] = orthogonalise(grad[lo:hi].lerp(buf[lo:hi], self.momentum), dtype=self.dtype)
                torch.distributed.all_reduce(upd)
            k = 0.2 * max(g[0].shape) ** 0.5
            for i, p in enumerate(g):
                p.mul_(1 - lr * self.wd).add_(upd[i].to(p.dtype), alpha=-lr * k)

    def state_dict(self):
        return [b.cpu() for b in self.bufs]

    def load_state_dict(self, bufs):
        for mine, other in zip(self.bufs, bufs):
            mine.copy_(other)
