/** Which nodes derive some text: a rule that only ever leads back to itself derives none, and must not be entered. */

import type { Node, Terminal } from './ir.ts';

export class Productivity {
  readonly #known = new Map<Node, boolean>();
  readonly #hasText: (terminal: Terminal) => boolean;

  constructor(hasText: (terminal: Terminal) => boolean) {
    this.#hasText = hasText;
  }

  of(node: Node): boolean {
    return this.#known.get(node) ?? this.#analyse(node);
  }

  /** The least fixed point over all nodes that `root` depends on. */
  #analyse(root: Node): boolean {
    const order: Node[] = [root];
    const seen = new Set(order);
    const users = new Map<Node, Node[]>();
    for (let i = 0; i < order.length; i++) {
      for (const needed of dependencies(order[i])) {
        if (this.#known.has(needed)) continue;
        const list = users.get(needed);
        if (list) list.push(order[i]);
        else users.set(needed, [order[i]]);
        if (seen.has(needed)) continue;
        seen.add(needed);
        order.push(needed);
      }
    }
    // What is needed comes late in the order, so most nodes are settled by one pass from the back.
    const open = [...order];
    while (open.length > 0) {
      const node = open.pop()!;
      if (this.#known.get(node) || !this.#derives(node)) continue;
      this.#known.set(node, true);
      open.push(...(users.get(node) ?? []));
    }
    for (const node of order) if (!this.#known.has(node)) this.#known.set(node, false);
    return this.#known.get(root)!;
  }

  #derives(node: Node): boolean {
    const known = (part: Node) => this.#known.get(part) === true;
    switch (node.kind) {
      case 'terminal':
        return this.#hasText(node);
      case 'choice':
        return node.parts.some(known);
      case 'repeat':
        return node.min === 0 || known(node.body);
      default:
        return dependencies(node).every(known);
    }
  }
}

/** The nodes that decide whether a node derives a text. */
function dependencies(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'terminal':
    case 'untold':
      return [];
    case 'repeat':
      return node.min === 0 ? [] : [node.body];
    case 'reference':
      return [node.target()];
    case 'flow':
      return node.needs;
    default:
      return node.parts;
  }
}
