/**
 * JSON that lies in the state directory. A torn write, an older version or a person may have left anything: what has not the
 * shape of what was written is as if it were not there.
 */
import type { Actor } from '../store.ts';

type JsonObject = Readonly<Record<string, unknown>>;

/** `undefined` for what is no JSON. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether these keys have texts. */
export function hasTexts(value: JsonObject, ...keys: readonly string[]): boolean {
  return keys.every((key) => typeof value[key] === 'string');
}

export function isActor(value: unknown): value is Actor {
  return isObject(value) && hasTexts(value, 'name', 'via');
}
