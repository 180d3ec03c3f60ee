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
import { Interner } from './interner.ts';
import type { Flow, FlowState, FlowStep, Node, Repeat, Sequence, Terminal } from './ir.ts';
import { type Budget, MAX_CONFIGURATIONS, MAX_TABLES, MAX_THREADS } from './limits.ts';
import { Productivity } from './productivity.ts';
import { TransitionRows } from './transition-rows.ts';

/** What a row holds where a byte was not yet asked for. */
const UNKNOWN = 0;
/** The configuration that no text is in. */
export const REFUSED = 1;
/** The configuration after the end token: nothing more may come. */
export const FINISHED = 2;
/** The configuration of which only the exact one tells what may come: see {@link Machine.afterAlike}. */
export const UNTOLD = 3;

type Frame =
  | { readonly node: Sequence; readonly index: number }
  | { readonly node: Repeat; readonly count: number }
  | { readonly node: Flow; readonly state: FlowState }
  /** After a terminal of a flow whose label says where to go on. */
  | { readonly node: Flow; readonly choose: (label: number) => FlowState; readonly alike: FlowStep['alike'] };

/** Top frames, each with the stacks below: `[frame0, below0, frame1, below1, …]`, sorted by frame. */
type Stacks = readonly number[];

/** Stacks 0: no stack at all. Stacks 1: the empty stack alone, where the text may end. */
const NO_STACK = 0;
const BOTTOM = 1;
const BOTTOM_FRAME = -1;

/** A step of a flow with the frame to go on at after it; -1 when nothing but the flow's end comes there. */
interface Step {
  readonly match: Node;
  readonly after: number;
}

export interface Configuration {
  /** `[state0, stacks0, state1, stacks1, …]`, sorted by state. */
  readonly threads: readonly number[];
  /** True where the text may end. */
  readonly canFinish: boolean;
  /** The row of the next configurations by byte; -1 when none was asked for. */
  row: number;
}

export class Machine {
  readonly #bytes: ByteAutomaton;
  readonly #budget: Budget;
  readonly #productivity: Productivity;

  readonly #nodeIds = new Map<object, number>();
  readonly #frames: Frame[] = [];
  /** The frame of each node and the place in it: an index, a count, or the number of a flow's state or choice. */
  readonly #frameIds = new Interner();
  readonly #flowStates = new Map<Flow, Map<FlowState, number>>();
  /** By frame of a flow: where it may go. */
  readonly #steps: (readonly Step[] | undefined)[] = [];
  /** By stacks: all but the last top frame, that frame, and the stacks below it. Stacks are numbered as they are here. */
  readonly #stackIds = new Interner();
  readonly #stacks: Stacks[] = [[], [BOTTOM_FRAME, NO_STACK]];
  readonly #unionIds = new Interner();
  readonly #unions: number[] = [];
  readonly #configurations: Configuration[] = [];
  /** Lists of threads (the list before, a state, its stacks), and configurations by their list and whether they may end. */
  readonly #threadLists = new Interner();
  readonly #configurationIds = new Interner();
  readonly #rows = new TransitionRows();
  /** What follows stacks after a terminal that ended with a label. */
  readonly #afterIds = new Interner();
  readonly #after: number[] = [];
  /** What follows stacks with states that stand for those of many labels: the key before, and one frame more. */
  readonly #alikeIds = new Interner();
  readonly #afterAlike: number[] = [];
  readonly #starts = new Map<Terminal, number>();
  readonly #closures: Closure[] = [];

  constructor(bytes: ByteAutomaton, budget: Budget) {
    this.#bytes = bytes;
    this.#budget = budget;
    this.#productivity = new Productivity((terminal) => this.#start(terminal) !== DEAD);
    this.#stackIds.id(-1, 0);
    this.#stackIds.id(NO_STACK, BOTTOM_FRAME, NO_STACK);
    this.#threadLists.id(-1, 0);
    for (const id of [UNKNOWN, REFUSED, FINISHED, UNTOLD]) {
      this.#configurationIds.id(-1, id);
      this.#configurations.push({ threads: [], canFinish: id === FINISHED, row: -1 });
    }
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
    return this.#collect((closure) => this.#enter(root, BOTTOM, 0, closure));
  }

  /** Where a byte leads. */
  step(id: number, byte: number): number {
    const { row } = this.#configurations[id];
    const next = row < 0 ? UNKNOWN : this.#rows.get(row, byte);
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
    const known = this.#afterIds.size;
    const index = this.#afterIds.id(stacks, label);
    // 0 where the making of it threw.
    if (index === known) this.#after.push(UNKNOWN);
    if (this.#after[index] === UNKNOWN) {
      this.#after[index] = this.#collect((closure) => this.#pop(stacks, label, 0, closure));
    }
    return this.#after[index];
  }

  /**
   * What {@link after} gives, or a configuration that stands for those of many labels: the same bytes lead on from it, up
   * to where it leads to {@link UNTOLD}.
   */
  afterAlike(stacks: number, label: number): number {
    const entries = this.#stacks[stacks];
    let key = stacks;
    let count = 0;
    for (let i = 0; i < entries.length; i += 2) {
      const frame = entries[i] === BOTTOM_FRAME ? undefined : this.#frames[entries[i]];
      if (!frame || !('choose' in frame)) continue;
      // Where a flow tells all labels apart, nothing is gained.
      if (!frame.alike) return this.after(stacks, label);
      key = this.#alikeIds.id(key, this.#flowFrame(frame.node, frame.alike(label)), ++count);
    }
    if (count === 0) return this.after(stacks, label);
    this.#afterAlike[key] ??= this.#collect((closure) => this.#pop(stacks, label, 0, closure, true));
    return this.#afterAlike[key];
  }

  /** True when a text ends where a terminal with these stacks ends, whatever its label. */
  endsText(stacks: number): boolean {
    return stacks === BOTTOM;
  }

  #makeStep(id: number, byte: number): number {
    const configuration = this.#configurations[id];
    const { threads } = configuration;
    const next = threads.length === 2 ? this.#stepThread(threads[0], threads[1], byte) : this.#stepAll(threads, byte);
    if (this.#rows.count >= MAX_TABLES) {
      for (const other of this.#configurations) other.row = -1;
      this.#rows.clear();
    }
    if (configuration.row < 0) configuration.row = this.#rows.add();
    this.#rows.set(configuration.row, byte, next);
    return next;
  }

  /** A thread alone: inside its terminal nothing but its state changes. */
  #stepThread(from: number, stacks: number, byte: number): number {
    const state = this.#bytes.step(from, byte);
    if (state === DEAD) return REFUSED;
    const labels = this.#bytes.labels(state);
    if (!labels) return this.#bytes.open(state) ? this.#single(state, stacks) : REFUSED;
    if (labels.length === 1 && !this.#bytes.open(state)) return this.after(stacks, labels[0]);
    return this.#stepAll([from, stacks], byte);
  }

  #stepAll(threads: readonly number[], byte: number): number {
    this.#budget.spend(threads.length >> 5);
    return this.#collect((merged) => {
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
          merged.untold ||= following === this.#configurations[UNTOLD];
        }
      }
    });
  }

  /** The configuration of all that `work` finds. */
  #collect(work: (closure: Closure) => void): number {
    const closure = this.#closures.pop() ?? new Closure();
    closure.clear();
    work(closure);
    const id = this.#configure(closure);
    this.#closures.push(closure);
    return id;
  }

  #configure({ threads, canFinish, untold }: Closure): number {
    if (untold) return UNTOLD;
    if (threads.size === 0 && !canFinish) return REFUSED;
    if (threads.size > MAX_THREADS) {
      throw new GrammarError(`the grammar is too ambiguous: more than ${MAX_THREADS} ways to read the text`);
    }
    let list = 0;
    if (threads.size === 1) {
      const [[state, stacks]] = threads;
      return this.#single(state, this.#unionAll(stacks), canFinish);
    }
    const flat = [...threads].sort((a, b) => a[0] - b[0]).flatMap(([state, stacks]) => [state, this.#unionAll(stacks)]);
    for (let t = 0; t < flat.length; t += 2) list = this.#threadLists.id(list, flat[t], flat[t + 1]);
    return this.#configuration(list, flat, canFinish);
  }

  #single(state: number, stacks: number, canFinish = false): number {
    const list = this.#threadLists.id(0, state, stacks);
    return this.#configuration(list, undefined, canFinish);
  }

  /** @param threads those of the list; when it has one, they need not be given */
  #configuration(list: number, threads: readonly number[] | undefined, canFinish: boolean): number {
    const known = this.size;
    const id = this.#configurationIds.id(list, canFinish ? 1 : 0);
    if (id === known) {
      const own = threads ?? [this.#threadLists.at(list, 1), this.#threadLists.at(list, 2)];
      this.#configurations.push({ threads: own, canFinish, row: -1 });
      // Only when it is there: work that is ended here may be taken up again.
      this.#budget.spend(4);
      if (known >= MAX_CONFIGURATIONS) throw new GrammarError('the text takes the grammar through too many states');
    }
    return id;
  }

  #addThread(state: number, stacks: number, closure: Closure): void {
    const there = closure.threads.get(state);
    if (there) there.push(stacks);
    else closure.threads.set(state, [stacks]);
  }

  /**
   * Adds the threads that start at a node, with `stacks` to go on with after it.
   * @param fresh how many of the top frames were pushed since the last byte
   */
  #enter(node: Node, stacks: number, fresh: number, closure: Closure): void {
    this.#budget.spend(1);
    if (!closure.visit(this.#nodeId(node), stacks, fresh, 0)) return;
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
        this.#call(node.target(), -1, stacks, fresh, closure);
        break;
      case 'sequence':
        this.#goOn(node, 0, stacks, fresh, closure);
        break;
      case 'repeat':
        this.#repeatAgain(node, 0, stacks, fresh, closure);
        break;
      case 'flow':
        this.#flowOn(this.#flowFrame(node, node.start), stacks, fresh, closure);
        break;
      case 'untold':
        closure.untold = true;
    }
  }

  /**
   * Goes on with each of `stacks` after a node that ended with `label`.
   * @param alike true where states may be taken that stand for those of many labels
   */
  #pop(stacks: number, label: number, fresh: number, closure: Closure, alike = false): void {
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
      if (!closure.visit(-1 - frame, below, fresh, 'choose' in record ? label : 0)) continue;
      const left = Math.max(0, fresh - 1);
      if ('index' in record) this.#goOn(record.node, record.index, below, left, closure);
      else if ('count' in record) {
        // An iteration that read nothing can stand for all that are still to come; another one would add nothing.
        if (fresh > 0) this.#pop(below, 0, left, closure);
        else this.#repeatAgain(record.node, record.count, below, left, closure);
      } else if ('choose' in record) {
        const state = alike && record.alike ? record.alike(label) : record.choose(label);
        this.#flowOn(this.#flowFrame(record.node, state), below, left, closure);
      } else this.#flowOn(frame, below, left, closure);
    }
    closure.shallower();
  }

  /** Goes on at a part of a sequence, `below` being the stacks to go on with after it. */
  #goOn(node: Sequence, index: number, below: number, fresh: number, closure: Closure): void {
    if (index === node.parts.length) this.#pop(below, 0, fresh, closure);
    else if (index === node.parts.length - 1) this.#call(node.parts[index], -1, below, fresh, closure);
    else this.#call(node.parts[index], this.#indexFrame(node, index + 1), below, fresh, closure);
  }

  /** Goes on after so many iterations. */
  #repeatAgain(node: Repeat, done: number, below: number, fresh: number, closure: Closure): void {
    const { min, max, body } = node;
    if (done >= min) this.#pop(below, 0, fresh, closure);
    if (done >= max || !this.#productivity.of(body)) return;
    const count = max === Number.POSITIVE_INFINITY ? Math.min(done + 1, min) : done + 1;
    this.#call(body, count === max && count >= min ? -1 : this.#countFrame(node, count), below, fresh, closure);
  }

  /** Goes on at a state of a flow. */
  #flowOn(frame: number, below: number, fresh: number, closure: Closure): void {
    const { node, state } = this.#frames[frame] as { node: Flow; state: FlowState };
    if (node.ends(state)) this.#pop(below, node.endLabel?.(state) ?? 0, fresh, closure);
    for (const { match, after } of this.#stepsOf(frame, node, state)) this.#call(match, after, below, fresh, closure);
  }

  #stepsOf(frame: number, flow: Flow, state: FlowState): readonly Step[] {
    let steps = this.#steps[frame];
    if (!steps) {
      const all = flow.steps(state);
      this.#budget.spend(all.length);
      steps = all
        .filter(({ match }) => this.#productivity.of(match))
        .map(({ match, next, alike }) => ({ match, after: this.#afterStep(flow, next, alike) }));
      this.#steps[frame] = steps;
    }
    return steps;
  }

  /** Where a flow goes on after a step. */
  #afterStep(node: Flow, next: FlowStep['next'], alike: FlowStep['alike']): number {
    if (typeof next === 'function') return this.#frame({ node, choose: next, alike }, this.#nodeId(next), 1);
    const isLast = !node.endLabel && node.ends(next) && node.steps(next).length === 0;
    return isLast ? -1 : this.#flowFrame(node, next);
  }

  /** Enters a node, to go on at a frame when it ends (at what is below when that is -1). */
  #call(node: Node, after: number, below: number, fresh: number, closure: Closure): void {
    closure.deeper();
    if (after < 0) this.#enter(node, below, fresh, closure);
    else this.#enter(node, this.#push(NO_STACK, after, below), fresh + 1, closure);
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

  #indexFrame(node: Sequence, index: number): number {
    return this.#frame({ node, index }, index, 0);
  }

  #countFrame(node: Repeat, count: number): number {
    return this.#frame({ node, count }, count, 0);
  }

  #flowFrame(node: Flow, state: FlowState): number {
    let states = this.#flowStates.get(node);
    if (!states) this.#flowStates.set(node, (states = new Map()));
    let place = states.get(state);
    if (place === undefined) states.set(state, (place = states.size));
    return this.#frame({ node, state }, place, 0);
  }

  #frame(frame: Frame, place: number, kind: 0 | 1): number {
    const id = this.#frameIds.id(this.#nodeId(frame.node), place | 0, Math.floor(place / 2 ** 32), kind);
    if (id === this.#frames.length) this.#frames.push(frame);
    return id;
  }

  /** Stacks with one more top frame, greater than those that they have. */
  #push(stacks: number, frame: number, below: number): number {
    const known = this.#stackIds.size;
    const id = this.#stackIds.id(stacks, frame, below);
    if (id === known) {
      this.#stacks.push([...this.#stacks[stacks], frame, below]);
      this.#budget.spend(1);
    }
    return id;
  }

  /** The union of many stacks, in pairs of neighbours, so that each is looked at a few times only. */
  #unionAll(stacks: readonly number[]): number {
    let level = stacks;
    while (level.length > 1) {
      const next: number[] = [];
      for (let i = 0; i < level.length; i += 2) {
        next.push(i + 1 < level.length ? this.#union(level[i], level[i + 1]) : level[i]);
      }
      level = next;
    }
    return level[0];
  }

  #union(a: number, b: number): number {
    if (a === b || b === NO_STACK) return a;
    if (a === NO_STACK) return b;
    const known = this.#unionIds.size;
    const index = a < b ? this.#unionIds.id(a, b) : this.#unionIds.id(b, a);
    if (index === known) this.#unions.push(NO_STACK);
    if (this.#unions[index] === NO_STACK) {
      const below = new Map<number, number>();
      for (const entries of [this.#stacks[a], this.#stacks[b]]) {
        for (let i = 0; i < entries.length; i += 2) {
          below.set(entries[i], this.#union(below.get(entries[i]) ?? NO_STACK, entries[i + 1]));
        }
      }
      let union = NO_STACK;
      for (const [frame, stacks] of [...below].sort((x, y) => x[0] - y[0])) union = this.#push(union, frame, stacks);
      this.#unions[index] = union;
    }
    return this.#unions[index];
  }
}

/** How deep nodes may open other nodes before a byte is read. */
const MAX_CLOSURE_DEPTH = 1_000;

/** Visits that are looked through one by one. */
const FEW_VISITS = 16;

/** The threads found from one place without reading a byte. */
class Closure {
  /** By state the stacks to go on with. */
  readonly threads = new Map<number, number[]>();
  canFinish = false;
  untold = false;
  readonly #visits: number[] = [];
  readonly #visited = new Set<string>();
  #depth = 0;

  clear(): void {
    this.threads.clear();
    this.canFinish = false;
    this.untold = false;
    this.#visits.length = 0;
    this.#visited.clear();
    this.#depth = 0;
  }

  /** False when this was done before. */
  visit(place: number, stacks: number, fresh: number, label: number): boolean {
    const visits = this.#visits;
    for (let i = 0; i < visits.length; i += 4) {
      if (visits[i] !== place || visits[i + 1] !== stacks) continue;
      if (visits[i + 2] === fresh && visits[i + 3] === label) return false;
    }
    if (visits.length < FEW_VISITS * 4) {
      visits.push(place, stacks, fresh, label);
      return true;
    }
    const size = this.#visited.size;
    this.#visited.add(`${place}:${stacks}:${fresh}:${label}`);
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
