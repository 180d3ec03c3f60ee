"""An endless stream of batches, made by worker processes while training runs; every dialogue is new and is used once.

All batches have the same shapes, so that the device can replay one recorded step:
a batch is a set of one group for each of a few lengths, and the lengths are chosen
so that about equally many tokens fall to each.
"""
import os, random, time
from multiprocessing import get_context
import numpy as np

PAD, OWN = 0x7FFF, 0x8000  # in 16 bits: the token id, or PAD, and a mark on the model's own words
TOK, REST = None, {}

def encoded(r, path):
    """A new dialogue as 16-bit tokens."""
    global TOK
    from tokenizers import Tokenizer
    from data import dialogue, encode
    if TOK is None: TOK = Tokenizer.from_file(path)
    ids, own = encode(TOK, dialogue(r))
    return np.array(ids, np.uint16) | np.array(own, np.uint16) << np.uint16(15)

def plan(path, count, group_tokens, context, dialogues=2000):
    """(dialogues, length) of each group of a set."""
    r = random.Random("plan")
    sizes = np.sort([len(encoded(r, path)) for _ in range(dialogues)])
    mass = np.cumsum(sizes) / sizes.sum()
    lengths = [int(sizes[np.searchsorted(mass, (i + 1) / count)]) for i in range(count - 1)] + [context]
    lengths = sorted({min(context, -(-t // 8) * 8) for t in lengths})
    return [(max(1, group_tokens // t), t) for t in lengths]

def groups(job):
    """Groups of about the given number of new dialogues, as (place in the set, array); what fills no group waits for the next job."""
    seed, number, dialogues, shapes, path = job
    r = random.Random(f"{seed}/{number}"); out = []
    for _ in range(dialogues):
        x = encoded(r, path)
        place = next((i for i, (_, t) in enumerate(shapes) if len(x) <= t), None)
        if place is None: continue
        rows = REST.setdefault(place, []); rows.append(x)
        if len(rows) == shapes[place][0]:
            g = np.full(shapes[place], PAD, np.uint16)
            for k, x in enumerate(rows): g[k, :len(x)] = x
            out.append((place, g)); rows.clear()
    return out

def batch(arrays, prompt_rate, rng, room):
    """Flat ids [tokens]; and, for `room` places in the batch: the place before a token that counts, the token, its weight in the loss, its weight in the mean over the model's own words."""
    flat = np.concatenate([g.reshape(-1) for g in arrays])
    first = np.concatenate([np.tile(np.arange(g.shape[1]) == 0, g.shape[0]) for g in arrays])
    ids = (flat & PAD).astype(np.int64)
    real = ids != PAD
    ids[~real] = 0
    own = (flat >= OWN) & real
    counts = (own | (real & (rng.random(len(flat), np.float32) < prompt_rate))) & ~first
    at = np.flatnonzero(counts)
    if len(at) > room: at = rng.permutation(at)[:room]
    mine = own[at]
    where, target, weight, share = np.zeros(room, np.int64), np.zeros(room, np.int64), np.zeros(room, np.float32), np.zeros(room, np.float32)
    n = len(at); where[n:] = np.arange(room - n)  # without weight, and apart from each other: their gradients are added one by one
    where[:n], target[:n], weight[:n], share[:n] = at - 1, ids[at], 1 / n, mine / mine.sum()
    return ids, where, target, weight, share

class Stream:
    """Sets of groups from the workers, mixed. Where no new group waits an old one is taken again, so that the device never waits."""
    def __init__(self, pool, workers, seed, dialogues, shapes, path, most=400):
        self.pool, self.job, self.shapes, self.most = pool, (seed, dialogues, shapes, path), shapes, most
        self.number, self.depth, self.pending, self.reused = 0, 2 * workers, [], 0
        self.fresh, self.old = [[] for _ in shapes], [[] for _ in shapes]
        self.r = random.Random(0)
        self.ask()

    def ask(self):
        while len(self.pending) < self.depth:
            seed, *rest = self.job; self.number += 1
            self.pending.append(self.pool.apply_async(groups, ((seed, self.number, *rest),)))

    def waiting(self):
        return min(map(len, self.fresh))

    def collect(self):
        """Takes what the workers have ready, unless plenty waits."""
        if self.waiting() >= self.most: return
        for p in [p for p in self.pending if p.ready()]:
            self.pending.remove(p)
            try: done = p.get()
            except Exception as e: print("a chunk was lost:", repr(e), flush=True); continue  # the others go on
            for place, g in done:
                if len(self.fresh[place]) < 3 * self.most: self.fresh[place].append(g)
        self.ask()

    def take(self):
        """One set: a group of each shape."""
        self.collect()
        while any(not f and not o for f, o in zip(self.fresh, self.old)):
            time.sleep(0.02); self.collect()
        out = []
        for fresh, old in zip(self.fresh, self.old):
            if fresh:
                i = self.r.randrange(len(fresh)); fresh[i], fresh[-1] = fresh[-1], fresh[i]
                g = fresh.pop()
                if len(old) < self.most: old.append(g)
                else: old[self.r.randrange(self.most)] = g
            else:
                g = self.r.choice(old); self.reused += 1
            out.append(g)
        return out

def workers(n):
    """A pool of processes, started before the device is touched."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return get_context("fork").Pool(n)
