/** A unified diff, with colours beside the signs. Each file's header is a heading of its own. */
import { Text } from '@mantine/core';
import type { ReactNode } from 'react';

type Kind = 'added' | 'removed' | 'place' | 'same';

function kindOf(line: string): Kind {
  if (line.startsWith('+')) return 'added';
  if (line.startsWith('-')) return 'removed';
  return line.startsWith('@@') ? 'place' : 'same';
}

/** The line that names the file: with `+++`, except where the file is gone. */
function namesFile(line: string, next: string | undefined): boolean {
  if (line.startsWith('+++ ')) return true;
  return line.startsWith('--- ') && next === '+++ /dev/null';
}

/** Without the lines that say nothing more: one of the two names, and "no newline at the end". */
function shown(text: string): readonly { readonly line: string; readonly isFile: boolean }[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('\\ '));
  return lines.flatMap((line, index) => {
    const isFile = namesFile(line, lines[index + 1]);
    return /^(--- |\+\+\+ )/.test(line) && !isFile ? [] : [{ line, isFile }];
  });
}

export function Diff({
  text,
  label,
}: {
  readonly text: string;
  readonly label: string;
}): ReactNode {
  const lines = shown(text);
  if (lines.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        No difference.
      </Text>
    );
  }
  return (
    // Long lines scroll, and what scrolls has to be reachable by the keyboard.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <section className="diff mono" tabIndex={0} aria-label={label}>
      {lines.map(({ line, isFile }, index) =>
        isFile ? (
          <Header key={index} line={line} />
        ) : (
          <div key={index} className={`diff-line diff-${kindOf(line)}`}>
            {line}
          </div>
        ),
      )}
    </section>
  );
}

/** Of the two lines the one that has a name: that of what there is afterwards, or of what there was. */
function Header({ line }: { readonly line: string }): ReactNode {
  const name = line.slice(4).split('\t')[0]!;
  if (name === '/dev/null') return null;
  return <div className="diff-file">{name}</div>;
}
