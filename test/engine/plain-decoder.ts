/**
 * A transformer decoder in plain double precision, with every setting spelt out by the test that uses it: the formulas as
 * the models' authors give them, over whole sequences, without caches, batches or shared code.
 */

export type Tensors = (name: string) => Float64Array;

type Vector = Float64Array;

/** What a test says of a model. Sizes follow from the tensors. */
export interface PlainModel {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly eps: number;
  readonly norm?: 'rms' | 'rms1p' | 'layer';
  readonly embeddingScale?: number;
  readonly tied?: boolean;
  readonly logits?: (x: number) => number;
  readonly residual?: number;
  /** `pre`: norms before; `post`: after; `both`; `parallel`: one norm for both blocks. */
  readonly order?: 'pre' | 'post' | 'both' | 'parallel';
  readonly scale?: number;
  readonly softcap?: number;
  readonly sinks?: boolean;
  readonly fused?: boolean;
  readonly qkNorm?: 'head' | 'whole' | 'eachHead';
  readonly window?: (layer: number) => number | undefined;
  /** Angle of a pair of elements per position, and factor on cosine and sine; no pairs: no rotation. */
  readonly rope: (layer: number) => { readonly angles: readonly number[]; readonly magnitude?: number };
  readonly interleaved?: boolean;
  /** DeepSeek-V2's: sizes of a head's parts, and whether q has a narrow intermediate too. */
  readonly latent?: {
    readonly rope: number;
    readonly nope: number;
    readonly value: number;
    readonly rank: number;
    readonly q: boolean;
  };
  readonly act: (x: number) => number;
  readonly feedForward: (layer: number) => 'gated' | 'plain' | Mixture;
}

export interface Mixture {
  readonly perToken: number;
  readonly experts: number;
  readonly normalize: boolean;
  /** Names of router and experts behind the layer's prefix. */
  readonly router: string;
  readonly expert: (e: number) => readonly [gate: string, up: string, down: string];
  readonly shared?: 'gated' | 'plain';
  readonly scale?: number;
  readonly groups?: { readonly count: number; readonly chosen: number };
  /** Of gpt-oss. */
  readonly limit?: number;
}

/** Logits after the last token. */
export function plainLogits(model: PlainModel, tensors: Tensors, ids: readonly number[]): Float64Array {
  const { hidden, embeddingScale = 1 } = model;
  const embedding = tensors('model.embed_tokens.weight');
  const xs = ids.map((id) => embedding.slice(id * hidden, (id + 1) * hidden).map((x) => x * embeddingScale));
  for (let layer = 0; layer < model.layers; layer++) runLayer(model, tensors, xs, layer);
  const last = norm(model, tensors, 'model.norm', xs.at(-1)!);
  const head = model.tied ? embedding : tensors('lm_head.weight');
  return product(head, undefined, last).map(model.logits ?? ((x) => x));
}

function runLayer(model: PlainModel, tensors: Tensors, xs: Vector[], layer: number): void {
  const prefix = `model.layers.${layer}`;
  const { order = 'pre', residual = 1 } = model;
  const normed = (name: string, of: readonly Vector[]) => of.map((x) => norm(model, tensors, `${prefix}.${name}`, x));
  const add = (deltas: readonly Vector[]) =>
    deltas.forEach((delta, t) => {
      xs[t] = xs[t].map((x, i) => x + residual * delta[i]);
    });
  const attend = (of: readonly Vector[]) => attention(model, tensors, prefix, of, layer);
  const feed = (of: readonly Vector[]) => of.map((x) => feedForward(model, tensors, `${prefix}.mlp`, x, layer));

  if (order === 'parallel') {
    const input = normed('input_layernorm', xs);
    const [a, f] = [attend(input), feed(input)];
    add(a);
    add(f);
  } else if (order === 'post') {
    add(normed('post_attention_layernorm', attend(xs)));
    add(normed('post_feedforward_layernorm', feed(xs)));
  } else if (order === 'both') {
    add(normed('post_attention_layernorm', attend(normed('input_layernorm', xs))));
    add(normed('post_feedforward_layernorm', feed(normed('pre_feedforward_layernorm', xs))));
  } else {
    add(attend(normed('input_layernorm', xs)));
    add(feed(normed('post_attention_layernorm', xs)));
  }
}

function norm({ norm: kind = 'rms', eps }: PlainModel, tensors: Tensors, name: string, x: Vector): Vector {
  const weight = tensors(`${name}.weight`);
  const bias = has(tensors, `${name}.bias`);
  const mean = kind === 'layer' ? x.reduce((sum, v) => sum + v, 0) / x.length : 0;
  const square = x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length;
  return x.map((v, i) => {
    const factor = kind === 'rms1p' ? 1 + weight[i] : weight[i];
    return ((v - mean) / Math.sqrt(square + eps)) * factor + (bias?.[i] ?? 0);
  });
}

function linear(tensors: Tensors, name: string, x: Vector): Vector {
  return product(tensors(`${name}.weight`), has(tensors, `${name}.bias`), x);
}

function product(weight: Vector, bias: Vector | undefined, x: Vector): Vector {
  return Float64Array.from({ length: weight.length / x.length }, (_, o) => {
    let sum = bias?.[o] ?? 0;
    for (let i = 0; i < x.length; i++) sum += weight[o * x.length + i] * x[i];
    return sum;
  });
}

function has(tensors: Tensors, name: string): Vector | undefined {
  try {
    return tensors(name);
  } catch {
    return undefined;
  }
}

function attention(
  model: PlainModel,
  tensors: Tensors,
  prefix: string,
  xs: readonly Vector[],
  layer: number,
): Vector[] {
  if (model.latent) return latentAttention(model, tensors, `${prefix}.self_attn`, xs, layer, model.latent);
  const { heads, kvHeads, headDim, scale = headDim ** -0.5, softcap } = model;
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const self = `${prefix}.self_attn`;
  const projected = xs.map((x) => {
    if (!model.fused) return ['q', 'k', 'v'].map((of) => linear(tensors, `${self}.${of}_proj`, x));
    const all = linear(tensors, `${self}.qkv_proj`, x);
    return [all.slice(0, queries), all.slice(queries, queries + keys), all.slice(queries + keys)];
  });
  const prepared = projected.map(([q, k, v], position) => ({
    q: prepare(model, tensors, `${self}.q`, q, position, layer),
    k: prepare(model, tensors, `${self}.k`, k, position, layer),
    v: split(v, headDim),
  }));
  const sinks = model.sinks ? tensors(`${self}.sinks`) : undefined;
  const window = model.window?.(layer) ?? Number.POSITIVE_INFINITY;
  return prepared.map(({ q }, t) => {
    const out = new Float64Array(queries);
    for (let h = 0; h < heads; h++) {
      const g = Math.floor((h * kvHeads) / heads);
      const seen = prepared.map((_, p) => p).filter((p) => p <= t && t - p < window);
      const scores = seen.map((p) => {
        const score = scale * prepared[p].k[g].reduce((sum, k, i) => sum + k * q[h][i], 0);
        return softcap ? softcap * Math.tanh(score / softcap) : score;
      });
      const weights = scores.map(Math.exp);
      const total = weights.reduce((sum, w) => sum + w, sinks ? Math.exp(sinks[h]) : 0);
      for (const [n, p] of seen.entries()) {
        for (let i = 0; i < headDim; i++) out[h * headDim + i] += (weights[n] / total) * prepared[p].v[g][i];
      }
    }
    return linear(tensors, `${self}.o_proj`, out);
  });
}

function latentAttention(
  model: PlainModel,
  tensors: Tensors,
  self: string,
  xs: readonly Vector[],
  layer: number,
  { rope, nope, value, rank, q: hasQueryLatent }: NonNullable<PlainModel['latent']>,
): Vector[] {
  const { heads, scale = (rope + nope) ** -0.5 } = model;
  const small = { ...model, eps: 1e-6 };
  const rows = xs.map((x, position) => {
    const q = hasQueryLatent
      ? linear(
          tensors,
          `${self}.q_b_proj`,
          norm(small, tensors, `${self}.q_a_layernorm`, linear(tensors, `${self}.q_a_proj`, x)),
        )
      : linear(tensors, `${self}.q_proj`, x);
    const a = linear(tensors, `${self}.kv_a_proj_with_mqa`, x);
    const b = linear(tensors, `${self}.kv_b_proj`, norm(small, tensors, `${self}.kv_a_layernorm`, a.slice(0, rank)));
    const kRotated = rotate(model, a.slice(rank), position, layer);
    return {
      q: split(q, nope + rope).map((head) => [head.slice(0, nope), rotate(model, head.slice(nope), position, layer)]),
      k: split(b, nope + value).map((head) => [head.slice(0, nope), kRotated]),
      v: split(b, nope + value).map((head) => head.slice(nope)),
    };
  });
  const dot = (a: Vector, b: Vector) => a.reduce((sum, v, i) => sum + v * b[i], 0);
  return rows.map(({ q }, t) => {
    const out = new Float64Array(heads * value);
    for (let h = 0; h < heads; h++) {
      const weights = rows
        .slice(0, t + 1)
        .map(({ k }) => Math.exp(scale * (dot(q[h][0], k[h][0]) + dot(q[h][1], k[h][1]))));
      const total = weights.reduce((sum, w) => sum + w, 0);
      weights.forEach((w, p) => {
        for (let i = 0; i < value; i++) out[h * value + i] += (w / total) * rows[p].v[h][i];
      });
    }
    return linear(tensors, `${self}.o_proj`, out);
  });
}

/** Norms and rotates the heads of q or k. */
function prepare(
  model: PlainModel,
  tensors: Tensors,
  name: string,
  x: Vector,
  position: number,
  layer: number,
): Vector[] {
  const { headDim, qkNorm } = model;
  const whole = qkNorm === 'whole' ? norm(model, tensors, `${name}_norm`, x) : x;
  return split(whole, headDim).map((head, h) => {
    const normed =
      qkNorm === 'head'
        ? norm(model, tensors, `${name}_norm`, head)
        : qkNorm === 'eachHead'
          ? norm(model, tensors, `${name}_layernorm.norms.${h}`, head)
          : head;
    return rotate(model, normed, position, layer);
  });
}

function rotate({ rope, interleaved }: PlainModel, x: Vector, position: number, layer: number): Vector {
  const { angles, magnitude = 1 } = rope(layer);
  const out = x.slice();
  angles.forEach((angle, i) => {
    const [a, b] = interleaved ? [2 * i, 2 * i + 1] : [i, i + angles.length];
    const [cos, sin] = [Math.cos(position * angle) * magnitude, Math.sin(position * angle) * magnitude];
    out[a] = x[a] * cos - x[b] * sin;
    out[b] = x[b] * cos + x[a] * sin;
  });
  return out;
}

function split(x: Vector, size: number): Vector[] {
  return Array.from({ length: x.length / size }, (_, i) => x.slice(i * size, (i + 1) * size));
}

function feedForward(model: PlainModel, tensors: Tensors, prefix: string, x: Vector, layer: number): Vector {
  const kind = model.feedForward(layer);
  if (kind === 'plain') {
    return linear(tensors, `${prefix}.c_proj`, linear(tensors, `${prefix}.c_fc`, x).map(model.act));
  }
  if (kind === 'gated') {
    if (!model.fused)
      return gated(
        model,
        tensors,
        x,
        ['gate_proj', 'up_proj', 'down_proj'].map((n) => `${prefix}.${n}`),
      );
    const both = linear(tensors, `${prefix}.gate_up_proj`, x);
    const n = both.length / 2;
    return linear(
      tensors,
      `${prefix}.down_proj`,
      both.slice(0, n).map((g, i) => model.act(g) * both[n + i]),
    );
  }
  return mixture(model, tensors, prefix, x, kind);
}

function gated(model: PlainModel, tensors: Tensors, x: Vector, names: readonly string[], limit?: number): Vector {
  const [gate, up] = names.slice(0, 2).map((name) => linear(tensors, name, x));
  const inner = gate.map((g, i) => {
    if (limit === undefined) return model.act(g) * up[i];
    return model.act(Math.min(g, limit)) * (Math.min(Math.max(up[i], -limit), limit) + 1);
  });
  return linear(tensors, names[2], inner);
}

function mixture(model: PlainModel, tensors: Tensors, prefix: string, x: Vector, kind: Mixture): Vector {
  const layerPrefix = prefix.replace(/\.mlp$/, '');
  const scores = linear(tensors, `${layerPrefix}.${kind.router}`, x);
  const powers = scores.map(Math.exp);
  const total = powers.reduce((sum, p) => sum + p, 0);
  const groups = kind.groups ?? { count: 1, chosen: 1 };
  const perGroup = scores.length / groups.count;
  const best = Array.from({ length: groups.count }, (_, g) =>
    Math.max(...scores.slice(g * perGroup, (g + 1) * perGroup)),
  );
  const eligible = [...best.keys()].sort((a, b) => best[b] - best[a]).slice(0, groups.chosen);
  const chosen = Array.from(scores.keys())
    .filter((e) => eligible.includes(Math.floor(e / perGroup)))
    .sort((a, b) => scores[b] - scores[a])
    .slice(0, kind.perToken);
  const kept = chosen.reduce((sum, e) => sum + powers[e], 0);
  const out = new Float64Array(x.length);
  for (const e of chosen) {
    const names = kind.expert(e).map((name) => `${layerPrefix}.${name}`);
    const result = gated(model, tensors, x, names, kind.limit);
    const weight = (powers[e] / (kind.normalize ? kept : total)) * (kind.scale ?? 1);
    for (let i = 0; i < out.length; i++) out[i] += weight * result[i];
  }
  if (!kind.shared) return out;
  const common = gated(
    model,
    tensors,
    x,
    ['gate_proj', 'up_proj', 'down_proj'].map(
      (n) => `${prefix}.${kind.shared === 'gated' ? 'shared_expert' : 'shared_experts'}.${n}`,
    ),
  );
  if (kind.shared === 'plain') return out.map((v, i) => v + common[i]);
  const [gate] = linear(tensors, `${prefix}.shared_expert_gate`, x);
  return out.map((v, i) => v + common[i] / (1 + Math.exp(-gate)));
}
