/**
 * The pushdown machine: which texts the nodes of a grammar derive, byte by byte, all ways at once.
 *
 * - A *frame* is a place to go on after a node: the next part of a sequence, the count of a repetition, a flow's state.
 * - *Stacks* is a set of stacks of frames, interned: entries of a top frame and the set of stacks below it. Ways that share
 *   what is below share it in memory, and ways with the same top merge, so ambiguity costs a set, never a product.
 * - A *thread* is a state of the byte automaton and the stacks to go on with where its terminal ends.
 * - A *configuration* is a set of threads, interned: all that matters of the text so far is one number.
 */

import { type ByteAutomaton, DEAD } from './byte-automaton.ts';
import { GrammarError } from './errors.ts';
import type { Flow, FlowState, FlowStep, Node, Repeat, Sequence, Terminal } from './ir.ts';
import { type Budget, MAX_CONFIGURATIONS, MAX_TABLES, MAX_THREADS } from './limits.ts';
import { Productivity } from './productivity.ts';

/** The configuration that no text is in. */
export const REFUSED = 0;
/** The configuration after the end token: nothing more may come. */
export const FINISHED = 1;

const UNKNOWN = -1;

type Frame =
  | { readonly node: Sequence; readonly index: number }
  | { readonly node: Repeat; readonly count: number }
  | { readonly node: Flow; readonly state: FlowState }
  /** After a terminal of a flow whose label says where to go on. */
  | { readonly node: Flow; readonly choose: (label: number) => FlowState };

/** Top frames, each with the stacks below: `[frame0, below0, frame1, below1, …]`, sorted by frame. */
type Stacks = readonly number[];

/** Stacks 0: no stack at all. Stacks 1: the empty stack alone, where the text may end. */
const BOTTOM = 1;
const BOTTOM_FRAME = -1;

export interface Configuration {
  /** `[state0, stacks0, state1, stacks1, …]`, sorted by state. */
  readonly threads: readonly number[];
  /** True where the text may end. */
  readonly canFinish: boolean;
  /** The next configuration by byte, {@link REFUSED} or -1 for not yet known; made when it is asked for. */
  next: Int32Array | undefined;
}

export class Machine {
  readonly #bytes: ByteAutomaton;
  readonly #budget: Budget;
  readonly #productivity: Productivity;

  readonly #nodeIds = new Map<object, number>();
  readonly #frames: Frame[] = [];
  readonly #frameIds = new Map<string, number>();
  readonly #stacks: Stacks[] = [[], [BOTTOM_FRAME, 0]];
  readonly #stackIds = new Map<string, number>();
  readonly #unions = new Map<string, number>();
  readonly #configurations: Configuration[] = [];
  readonly #configurationIds = new Map<string, number>();
  /** What follows stacks after a terminal that ended with a label. */
  readonly #after = new Map<number, Map<number, number>>();
  readonly #starts = new Map<Terminal, number>();
  #tables = 0;
  readonly #flowSteps = new Map<Flow, Map<FlowState, readonly FlowStep[]>>();

  constructor(bytes: ByteAutomaton, budget: Budget) {
    this.#bytes = bytes;
    this.#budget = budget;
    this.#productivity = new Productivity((terminal) => this.#start(terminal) !== DEAD);
    this.#configurations.push({ threads: [], canFinish: false, next: undefined });
    this.#configurations.push({ threads: [], canFinish: true, next: undefined });
  }

  /** Configurations made so far. */
  get size(): number {
    return this.#configurations.length;
  }

  configuration(id: number): Configuration {
    return this.#configurations[id];
  }

  /**
   * The configuration at the start of a node's texts.
   * @throws GrammarError when it has none
   */
  begin(root: Node): number {
    if (!this.#productivity.of(root)) throw new GrammarError('the grammar has no text at all');
    const closure = new Closure();
    this.#enter(root, BOTTOM, 0, closure);
    return this.#configure(closure);
  }

  /** Where a byte leads. */
  step(id: number, byte: number): number {
    const next = this.#configurations[id].next?.[byte] ?? UNKNOWN;
    return next === UNKNOWN ? this.#makeStep(id, byte) : next;
  }

  /** Where bytes lead. */
  walk(id: number, bytes: Uint8Array): number {
    let at = id;
    for (let i = 0; i < bytes.length && at !== REFUSED; i++) at = this.step(at, bytes[i]);
    return at;
  }

  /** The configuration after a terminal that ended with a label, its thread's stacks being `stacks`. */
  after(stacks: number, label: number): number {
    let byLabel = this.#after.get(stacks);
    if (!byLabel) this.#after.set(stacks, (byLabel = new Map()));
    let id = byLabel.get(label);
    if (id === undefined) {
      const closure = new Closure();
      this.#pop(stacks, label, 0, closure);
      byLabel.set(label, (id = this.#configure(closure)));
    }
    return id;
  }

  /** True when a text ends where a terminal with these stacks ends, whatever its label. */
  endsText(stacks: number): boolean {
    return stacks === BOTTOM;
  }

  #makeStep(id: number, byte: number): number {
    const { threads } = this.#configurations[id];
    const merged = new Closure();
    for (let t = 0; t < threads.length; t += 2) {
      const state = this.#bytes.step(threads[t], byte);
      if (state === DEAD) continue;
      const stacks = threads[t + 1];
      if (this.#bytes.open(state)) this.#addThread(state, stacks, merged);
      for (const label of this.#bytes.labels(state) ?? []) {
        const following = this.#configurations[this.after(stacks, label)];
        for (let f = 0; f < following.threads.length; f += 2) {
          this.#addThread(following.threads[f], following.threads[f + 1], merged);
        }
        merged.canFinish ||= following.canFinish;
      }
    }
    const next = this.#configure(merged);
    this.#table(id)[byte] = next;
    return next;
  }

  /** The table of a configuration's next ones. When there are too many tables, all are forgotten and made again. */
  #table(id: number): Int32Array {
    const configuration = this.#configurations[id];
    if (!configuration.next) {
      if (++this.#tables > MAX_TABLES) {
        for (const other of this.#configurations) other.next = undefined;
        this.#tables = 1;
      }
      configuration.next = new Int32Array(256).fill(UNKNOWN);
    }
    return configuration.next;
  }

  #configure({ threads, canFinish }: Closure): number {
    if (threads.size === 0 && !canFinish) return REFUSED;
    if (threads.size > MAX_THREADS) {
      throw new GrammarError(`the grammar is too ambiguous: more than ${MAX_THREADS} ways to read the text`);
    }
    const flat = [...threads].sort((a, b) => a[0] - b[0]).flat();
    const key = `${flat.join()}${canFinish ? '!' : ''}`;
    let id = this.#configurationIds.get(key);
    if (id === undefined) {
      if (this.size >= MAX_CONFIGURATIONS) throw new GrammarError('the text takes the grammar through too many states');
      this.#budget.spend(4);
      id = this.#configurations.push({ threads: flat, canFinish, next: undefined }) - 1;
      this.#configurationIds.set(key, id);
    }
    return id;
  }

  #addThread(state: number, stacks: number, closure: Closure): void {
    const there = closure.threads.get(state);
    closure.threads.set(state, there === undefined ? stacks : this.#union(there, stacks));
  }

  /**
   * Adds the threads that start at a node, with `stacks` to go on with after it.
   * @param fresh how many of the top frames were pushed since the last byte
   */
  #enter(node: Node, stacks: number, fresh: number, closure: Closure): void {
    this.#budget.spend(1);
    if (!closure.visit(this.#nodeId(node), stacks, fresh)) return;
    switch (node.kind) {
      case 'terminal': {
        const state = this.#start(node);
        if (state === DEAD) return;
        if (this.#bytes.open(state)) this.#addThread(state, stacks, closure);
        for (const label of this.#bytes.labels(state) ?? []) this.#pop(stacks, label, fresh, closure);
        break;
      }
      case 'choice':
        for (const part of node.parts) {
          if (this.#productivity.of(part)) this.#enter(part, stacks, fresh, closure);
        }
        break;
      case 'reference':
        this.#call(node.target(), undefined, stacks, fresh, closure);
        break;
      case 'sequence':
        this.#resume({ node, index: 0 }, stacks, 0, fresh, closure);
        break;
      case 'repeat':
        this.#resume({ node, count: 0 }, stacks, 0, fresh, closure);
        break;
      case 'flow':
        this.#resume({ node, state: node.start }, stacks, 0, fresh, closure);
    }
  }

  /** Goes on with each of `stacks` after a node that ended with `label`. */
  #pop(stacks: number, label: number, fresh: number, closure: Closure): void {
    this.#budget.spend(1);
    closure.deeper();
    const entries = this.#stacks[stacks];
    for (let i = 0; i < entries.length; i += 2) {
      const [frame, below] = [entries[i], entries[i + 1]];
      if (frame === BOTTOM_FRAME) {
        closure.canFinish = true;
        continue;
      }
      const record = this.#frames[frame];
      const place = 'choose' in record ? `${frame},${label}` : frame;
      if (!closure.visit(`after ${place}`, below, fresh)) continue;
      // An iteration that read nothing can stand for all that are still to come; another one would add nothing.
      if (fresh > 0 && 'count' in record) this.#pop(below, 0, fresh - 1, closure);
      else this.#resume(record, below, label, Math.max(0, fresh - 1), closure);
    }
    closure.shallower();
  }

  /** Goes on at a frame, `below` being the stacks below it. */
  #resume(frame: Frame, below: number, label: number, fresh: number, closure: Closure): void {
    if ('index' in frame) {
      const { node, index } = frame;
      const last = index === node.parts.length - 1;
      if (index === node.parts.length) this.#pop(below, 0, fresh, closure);
      else this.#call(node.parts[index], last ? undefined : { node, index: index + 1 }, below, fresh, closure);
    } else if ('count' in frame) {
      const { node } = frame;
      const { min, max, body } = node;
      if (frame.count >= min) this.#pop(below, 0, fresh, closure);
      if (frame.count >= max || !this.#productivity.of(body)) return;
      const count = max === Number.POSITIVE_INFINITY ? Math.min(frame.count + 1, min) : frame.count + 1;
      this.#call(body, count === max && count >= min ? undefined : { node, count }, below, fresh, closure);
    } else {
      const { node } = frame;
      const state = 'choose' in frame ? frame.choose(label) : frame.state;
      if (node.ends(state)) this.#pop(below, 0, fresh, closure);
      for (const { match, next } of this.#steps(node, state)) {
        if (!this.#productivity.of(match)) continue;
        this.#call(match, this.#afterStep(node, next), below, fresh, closure);
      }
    }
  }

  /** Where a flow goes on after a step; undefined when nothing but its end comes there. */
  #afterStep(node: Flow, next: FlowStep['next']): Frame | undefined {
    if (typeof next === 'function') return { node, choose: next };
    return this.#steps(node, next).length === 0 && node.ends(next) ? undefined : { node, state: next };
  }

  #steps(flow: Flow, state: FlowState): readonly FlowStep[] {
    let byState = this.#flowSteps.get(flow);
    if (!byState) this.#flowSteps.set(flow, (byState = new Map()));
    let steps = byState.get(state);
    if (!steps) {
      byState.set(state, (steps = flow.steps(state)));
      this.#budget.spend(steps.length);
    }
    return steps;
  }

  /** Enters a node, to go on at `after` when it ends. */
  #call(node: Node, after: Frame | undefined, below: number, fresh: number, closure: Closure): void {
    closure.deeper();
    if (after) this.#enter(node, this.#internStacks([this.#frame(after), below]), fresh + 1, closure);
    else this.#enter(node, below, fresh, closure);
    closure.shallower();
  }

  #start(terminal: Terminal): number {
    let state = this.#starts.get(terminal);
    if (state === undefined) this.#starts.set(terminal, (state = this.#bytes.start(terminal)));
    return state;
  }

  #nodeId(node: Node | Exclude<FlowStep['next'], FlowState>): number {
    let id = this.#nodeIds.get(node);
    if (id === undefined) this.#nodeIds.set(node, (id = this.#nodeIds.size));
    return id;
  }

  #frame(frame: Frame): number {
    const place =
      'index' in frame
        ? frame.index
        : 'count' in frame
          ? frame.count
          : 'choose' in frame
            ? `?${this.#nodeId(frame.choose)}`
            : typeof frame.state === 'string'
              ? `'${frame.state}`
              : frame.state;
    const key = `${this.#nodeId(frame.node)}:${place}`;
    let id = this.#frameIds.get(key);
    if (id === undefined) {
      id = this.#frames.push(frame) - 1;
      this.#frameIds.set(key, id);
    }
    return id;
  }

  #internStacks(entries: Stacks): number {
    const key = entries.join();
    let id = this.#stackIds.get(key);
    if (id === undefined) {
      this.#budget.spend(1);
      id = this.#stacks.push(entries) - 1;
      this.#stackIds.set(key, id);
    }
    return id;
  }

  #union(a: number, b: number): number {
    if (a === b || b === 0) return a;
    if (a === 0) return b;
    const key = a < b ? `${a},${b}` : `${b},${a}`;
    let id = this.#unions.get(key);
    if (id === undefined) {
      const below = new Map<number, number>();
      for (const entries of [this.#stacks[a], this.#stacks[b]]) {
        for (let i = 0; i < entries.length; i += 2) {
          below.set(entries[i], this.#union(below.get(entries[i]) ?? 0, entries[i + 1]));
        }
      }
      id = this.#internStacks([...below].sort((x, y) => x[0] - y[0]).flat());
      this.#unions.set(key, id);
    }
    return id;
  }
}

/** How deep nodes may open other nodes before a byte is read. */
const MAX_CLOSURE_DEPTH = 1_000;

/** The threads found from one place without reading a byte. */
class Closure {
  readonly threads = new Map<number, number>();
  canFinish = false;
  readonly #visited = new Set<string>();
  #depth = 0;

  /** False when this was done before. */
  visit(place: number | string, stacks: number, fresh: number): boolean {
    const size = this.#visited.size;
    this.#visited.add(`${place}:${stacks}:${fresh}`);
    return this.#visited.size > size;
  }

  deeper(): void {
    if (++this.#depth > MAX_CLOSURE_DEPTH) {
      throw new GrammarError('a rule begins with itself, or rules open each other too deep before a first character');
    }
  }

  shallower(): void {
    this.#depth--;
  }
}
