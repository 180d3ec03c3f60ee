"""An endless stream of batches, made by worker processes while training runs; every dialogue is new and is used once."""
import os, random, time
from multiprocessing import get_context
import numpy as np

PAD, OWN = 0x7FFF, 0x8000  # in 16 bits: the token id, or PAD, and a mark on the model's own words
TOK = None

def groups(job):
    """Arrays [dialogues, length] of about group_tokens tokens, each of dialogues of like length; depends only on the job."""
    global TOK
    from tokenizers import Tokenizer
    from data import dialogue, encode
    seed, number, dialogues, context, group_tokens, path = job
    if TOK is None: TOK = Tokenizer.from_file(path)
    r = random.Random(f"{seed}/{number}")
    rows = []
    for _ in range(dialogues):
        ids, own = encode(TOK, dialogue(r))
        if len(ids) <= context: rows.append(np.array(ids, np.uint16) | np.array(own, np.uint16) << 15)
    rows.sort(key=len, reverse=True)
    out = []
    while rows:
        n = max(1, group_tokens // len(rows[0]))
        g = np.full((min(n, len(rows)), len(rows[0])), PAD, np.uint16)
        for k, x in enumerate(rows[:n]): g[k, :len(x)] = x
        out.append(g); rows = rows[n:]
    r.shuffle(out)
    return out

def batch(gs, prompt_rate, rng):
    """One flat batch out of groups: ids, positions, shapes, and where in the batch which token is to be foretold, and which of those are the model's own."""
    shapes = [g.shape for g in gs]
    flat = np.concatenate([g.reshape(-1) for g in gs])
    positions = np.concatenate([np.tile(np.arange(t, dtype=np.int64), b) for b, t in shapes])
    ids = (flat & PAD).astype(np.int64)
    real = ids != PAD
    ids[~real] = 0
    mine = (flat >= OWN) & real
    counts = mine | (real & (rng.random(len(flat)) < prompt_rate)) if prompt_rate else mine
    at = np.flatnonzero(counts & (positions > 0))
    return ids, positions, shapes, at - 1, ids[at], mine[at]

class Stream:
    """Groups from the workers, mixed. A step that finds no new group takes old ones, so that the device never waits."""
    def __init__(self, pool, workers, job, depth=2):
        self.pool, self.job, self.number = pool, job, 0
        self.depth, self.pending = workers * depth, []
        self.fresh, self.old, self.reused = [], [], 0
        self.r = random.Random(0)
        self.ask()

    def ask(self):
        while len(self.pending) < self.depth:
            j = self.job; self.number += 1
            self.pending.append(self.pool.apply_async(groups, ((j[0], self.number, *j[1:]),)))

    def collect(self, most=4000):
        """Takes what is ready, as long as no more than `most` groups wait."""
        for p in [p for p in self.pending if p.ready()]:
            if len(self.fresh) > most: break
            self.pending.remove(p)
            try: self.fresh += p.get()
            except Exception as e: print("a chunk was lost:", repr(e), flush=True)  # the others go on
        self.ask()

    def take(self, n):
        self.collect()
        while not self.fresh and not self.old:
            time.sleep(0.02); self.collect()
        out = []
        for _ in range(n):
            if self.fresh:
                i = self.r.randrange(len(self.fresh)); self.fresh[i], self.fresh[-1] = self.fresh[-1], self.fresh[i]
                g = self.fresh.pop()
                if len(self.old) < 4000: self.old.append(g)
                else: self.old[self.r.randrange(4000)] = g
            else:
                g = self.r.choice(self.old); self.reused += 1
            out.append(g)
        return out

def workers(n):
    """A pool of processes, started before the device is touched."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return get_context("fork").Pool(n)
