/** Choices of the generator, all of one seed. */
import { seededRandom } from '../support/seed.ts';

export class Random {
  readonly #next: () => number;

  /** The same seed and case always choose the same; neighbouring cases have nothing in common. */
  constructor(seed: number, caseNumber: number) {
    this.#next = seededRandom(
      Math.imul(seed ^ 0x5bd1e995, 0x85ebca6b) ^ Math.imul(caseNumber + 1, 0x9e3779b1),
    );
  }

  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  /** A whole number from `from` to `to`, both included. */
  int(from: number, to: number): number {
    return from + Math.floor(this.#next() * (to - from + 1));
  }

  word(): number {
    return Math.floor(this.#next() * 2 ** 32);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#next() * choices.length)]!;
  }

  /** One of the choices, each as likely as its weight says. */
  weighted<T>(choices: readonly (readonly [number, T])[]): T {
    let left = this.#next() * choices.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, choice] of choices) {
      left -= weight;
      if (left < 0) return choice;
    }
    return choices.at(-1)![1];
  }
}
