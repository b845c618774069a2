/** Which item of an edited list was which: by name, else by content, else by its place behind the one before. */

/** For each wanted item of a list the old one that it equals or replaces; `undefined` for a new one. */
export type Plan = readonly (number | undefined)[];
export function planOf(before: readonly unknown[], wanted: readonly unknown[]): Plan {
  const free = new Map<string, number[]>();
  // The first of equal ones is taken first, from the end of a list: taking from its beginning would move all others.
  for (let index = before.length - 1; index >= 0; index--) {
    const key = identity(before[index]);
    const indexes = free.get(key);
    if (indexes === undefined) free.set(key, [index]);
    else indexes.push(index);
  }
  const used = new Set<number>();
  const plan = wanted.map((value) => {
    const index = free.get(identity(value))?.pop();
    if (index !== undefined) used.add(index);
    return index;
  });
  plan.forEach((found, index) => {
    if (found !== undefined || isNamed(wanted[index])) return;
    // A replacement takes the old item's place and comments.
    const left = index === 0 ? -1 : plan[index - 1];
    const candidate = (left ?? Infinity) + 1;
    if (candidate < before.length && !used.has(candidate) && !isNamed(before[candidate])) {
      used.add(candidate);
      plan[index] = candidate;
    }
  });
  return plan;
}

function isNamed(value: unknown): value is { name: string } {
  return isObject(value) && typeof value.name === 'string';
}

function identity(value: unknown): string {
  return isNamed(value) ? `name ${value.name}` : JSON.stringify(value);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
