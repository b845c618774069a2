/**
 * Words that were used before (docs/glossary.md has those of today): they still mean what they meant, with a notice on standard
 * error. Here and nowhere else.
 */

interface OldVerb {
  readonly verb: readonly [family: string, old: string];
  readonly now: string;
}

const oldVerbs: readonly OldVerb[] = [{ verb: ['server', 'remove'], now: 'unassign' }];

const oldOptions: Readonly<Record<string, string>> = { '--protocol': '--proto' };

/** The arguments in today's words, and what to say about the others. */
export function inTodaysWords(args: readonly string[]): {
  readonly args: readonly string[];
  readonly notices: readonly string[];
} {
  const notices: string[] = [];
  const end = args.indexOf('--');
  const words = args.map((word, index) => {
    if (end >= 0 && index > end) return word;
    const [name = '', ...value] = word.split('=');
    if (!Object.hasOwn(oldOptions, name)) return word;
    const now = oldOptions[name]!;
    notices.push(`${name} is called ${now} now`);
    return [now, ...value].join('=');
  });
  for (const { verb, now } of oldVerbs) {
    const [family, old] = verb;
    if (words[0] !== family || words[1] !== old) continue;
    words[1] = now;
    notices.push(`${family} ${old} is called ${family} ${now} now`);
  }
  return { args: words, notices };
}

/** What cannot be undone by its opposite: never proposed to somebody who has typed something else. */
const destructive = new Set([
  'destroy',
  'remove-rule',
  'kill',
  'prune',
  'remove',
  'unassign',
  'down',
]);

/** A message of commander without proposals that destroy something. */
export function withoutDestructive(message: string): string {
  return message.replace(/\n\(Did you mean (?:one of )?([^)]*)\?\)/, (_, list: string) => {
    const kept = list.split(', ').filter((word) => !destructive.has(word));
    if (kept.length === 0) return '';
    return `\n(Did you mean ${kept.length > 1 ? 'one of ' : ''}${kept.join(', ')}?)`;
  });
}
