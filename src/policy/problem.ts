/** Problems in the configuration, in words. */
import type { Problem } from './types.ts';

/** `file:line:column: path: message`, which editors and terminals make clickable. */
export function formatProblem(problem: Problem): string {
  const place =
    problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`;
  const message = problem.severity === 'warning' ? `warning: ${problem.message}` : problem.message;
  return [place, problem.path, message].filter((part) => part !== '').join(': ');
}

/** Bounds of a report: the first problems are enough to begin with. */
const maxProblems = 100;
const maxPath = 300;
const maxMessage = 600;

/** A function for what takes long: it is called for problems that are shown. */
export type Message = string | (() => string);

/** What is wrong with a file: the first problems, and how many more there are. */
export class ProblemList {
  readonly #file: string;
  readonly #problems: Problem[] = [];
  /** Places and messages of the problems. */
  readonly #reported: Set<string> = new Set<string>();
  readonly #more: Record<Problem['severity'], number> = { error: 0, warning: 0 };

  constructor(file: string) {
    this.#file = file;
  }

  add(
    severity: Problem['severity'],
    place: () => Pick<Problem, 'line' | 'column' | 'path'>,
    words: Message,
  ): void {
    if (this.#problems.length >= maxProblems) {
      this.#more[severity]++;
      return;
    }
    const { line, column, path } = place();
    const message = typeof words === 'string' ? words : words();
    // Two checks may report the same value.
    const key = `${line} ${column} ${message}`;
    if (this.#reported.has(key)) return;
    this.#reported.add(key);
    this.#problems.push({
      severity,
      ...{ file: this.#file, line, column },
      path: shortened(path, maxPath),
      message: shortened(message, maxMessage),
    });
  }

  get all(): readonly Problem[] {
    const { error, warning } = this.#more;
    const more = error + warning;
    if (more === 0) return this.#problems;
    const severity = error > 0 ? 'error' : 'warning';
    const place = { file: this.#file, line: 0, column: 0, path: '' };
    return [...this.#problems, { severity, ...place, message: andMore(more) }];
  }
}

/** After the first of many. */
export function andMore(count: number): string {
  return `and ${count.toLocaleString('en-US')} more`;
}

/** The beginning of a text: a message never shows all of something large. */
export function shortened(text: string, most = 100): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** A longer word is no typo of a name, and comparing takes time with the square of its length. */
const maxCompared = 40;

/** The known word that is most like an unknown one, as a question; or nothing. */
export function didYouMean(word: string, known: Iterable<string>): string {
  if (word.length > maxCompared) return '';
  let best = '';
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best === '' ? '' : `; did you mean "${best}"?`;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, previous[j]! + 1, row[j - 1]! + 1));
    }
    previous = row;
  }
  return previous[b.length]!;
}
