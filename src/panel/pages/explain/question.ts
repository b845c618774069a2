/** The question as it stands in the page's address, and as `POST /v1/explain` takes it. */
import type { Question } from '../../parts/allowing-rule.ts';

/** As typed. Absent: nothing was typed. */
export type Asked = Partial<Readonly<Record<keyof Question, string>>>;

const keys = ['src', 'dst', 'protocol', 'srcPort', 'dstPort', 'icmpType', 'hex'] as const;
const numbers: readonly (keyof Question)[] = ['srcPort', 'dstPort', 'icmpType'];

export function asked(search: URLSearchParams): Asked {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const text = search.get(key)?.trim() ?? '';
      return text === '' ? [] : [[key, text]];
    }),
  );
}

export function isQuestion(question: Asked): boolean {
  return Object.keys(question).length > 0;
}

/** What is no number goes as it is: the API says what is wrong with it. */
export function bodyOf(question: Asked): object {
  return Object.fromEntries(
    Object.entries(question).map(([key, text]) => {
      const isNumber = numbers.includes(key as keyof Question) && /^\d+$/.test(text);
      return [key, isNumber ? Number(text) : text];
    }),
  );
}
