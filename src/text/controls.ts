/**
 * Characters that a terminal obeys instead of showing: C0, DEL and C1 (Unicode's category Cc), the bidirectional controls,
 * which show a line in another order than it has, and the line and paragraph separators.
 *
 * Names, comments and descriptions are refused if they have one ({@link controlIn}). Text of strangers (a login name, a header,
 * an answer of another program) keeps them in data, and {@link visible} shows them.
 */
const control = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u;
const controls = new RegExp(control, 'gu');

const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escape(character: string): string {
  return short[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/**
 * The text with every such character as JSON escapes it: `\u001b`, `\n`. What was JSON stays the same JSON.
 */
export function visible(text: string): string {
  return control.test(text) ? text.replace(controls, escape) : text;
}

/** The first such character, escaped, if there is one. */
export function controlIn(text: string): string | undefined {
  const found = control.exec(text)?.[0];
  return found === undefined ? undefined : escape(found);
}
