"""Muon (orthogonalised momentum) for the hidden matrices, Adam for the rest.

Rates are tensors on the device, so that a recorded step can be replayed with another rate.
"""
import math
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
        """scale: a tensor, the share of the full rate."""
        for g, buf in zip(self.groups, self.bufs):
            grad = torch.stack([p.grad for p in g]).float()
            buf.lerp_(grad, 1 - self.momentum)
            upd = orthogonalise(grad.lerp(buf, self.momentum), dtype=self.dtype).float()
            torch._foreach_mul_(g, 1 - self.lr * self.wd * scale)
            torch._foreach_add_(g, list((upd * (scale * (-self.lr * 0.2 * max(g[0].shape) ** 0.5))).unbind()))

    def forget(self):
        for b in self.bufs: b.zero_()


class Adam:
    def __init__(self, params, lr, betas=(0.9, 0.95), eps=1e-8):
        self.params, self.lr, self.betas, self.eps = list(params), lr, betas, eps
        self.m, self.v = ([torch.zeros_like(p) for p in self.params] for _ in "mv")
        self.t = torch.zeros((), device=self.params[0].device)

    @torch.no_grad()
    def step(self, scale):
        b1, b2 = self.betas
        grads = [p.grad for p in self.params]
        self.t.add_(1)
        torch._foreach_lerp_(self.m, grads, 1 - b1)
        torch._foreach_mul_(self.v, b2)
        torch._foreach_addcmul_(self.v, grads, grads, 1 - b2)
        root = torch._foreach_sqrt(self.v)
        torch._foreach_add_(root, self.eps)
        upd = torch._foreach_div(self.m, root)
        young1, young2 = (1 - torch.exp(self.t * math.log(b)) for b in (b1, b2))
        torch._foreach_mul_(upd, scale * -self.lr * young2.sqrt() / young1)
        torch._foreach_add_(self.params, upd)

    def forget(self):
        for x in (*self.m, *self.v, self.t): x.zero_()
