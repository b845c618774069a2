/**
 * One line for a terminal. Text that goes into it is escaped (see controls.ts), a line break too: whatever a name or a comment
 * says, it can neither steer the terminal nor look like the next line. Only {@link Line.colour} adds bytes that a terminal obeys,
 * and only a `Line` can carry them, so nothing has to be separated afterwards.
 */
import { visible } from './controls.ts';

/** Select Graphic Rendition (ECMA-48, 8.3.117): on, and off again. */
const renditions = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  bold: [1, 22],
  dim: [2, 22],
} as const;

export type Colour = keyof typeof renditions;

/** What may become a line. */
export type Text = string | Line;

export class Line {
  /** What the reader sees. */
  readonly plain: string;
  /** What the terminal gets. */
  readonly coloured: string;

  private constructor(plain: string, withColours: string) {
    this.plain = plain;
    this.coloured = withColours;
  }

  static of(text: Text): Line {
    if (text instanceof Line) return text;
    const plain = visible(text);
    return new Line(plain, plain);
  }

  static join(parts: readonly Text[], separator = ''): Line {
    const lines = parts.map((part) => Line.of(part));
    const between = visible(separator);
    return new Line(
      lines.map(({ plain }) => plain).join(between),
      lines.map((each) => each.coloured).join(between),
    );
  }

  static colour(colour: Colour, text: Text): Line {
    const inner = Line.of(text);
    const [on, off] = renditions[colour];
    return new Line(inner.plain, `\x1b[${on}m${inner.coloured}\x1b[${off}m`);
  }

  /** With blanks behind it, up to a width in columns. East Asian widths are not known: we print names and numbers. */
  padEnd(width: number): Line {
    const blanks = ' '.repeat(Math.max(0, width - this.plain.length));
    return new Line(this.plain + blanks, this.coloured + blanks);
  }

  /** Cut off behind so many columns. Colours go with what is cut. */
  clip(columns: number): Line {
    return this.plain.length <= columns ? this : Line.of(this.plain.slice(0, columns));
  }
}

/** A line with foreign text and coloured parts in it: line`server ${style('bold', name)}: ${comment}`. */
export function line(parts: TemplateStringsArray, ...between: (Text | number)[]): Line {
  return Line.join(
    parts.flatMap((part, index) => {
      const next = between[index];
      if (next === undefined) return [part];
      return [part, typeof next === 'number' ? String(next) : next];
    }),
  );
}

/** The lines of a text whose line breaks are meant: help, a file, a diff. */
export function linesOf(text: string): string[] {
  return text.split('\n');
}
