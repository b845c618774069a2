/** The user's editor, on a temporary file. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from './errors.ts';
import type { TextEditor } from './resource-edit.ts';

export function createTextEditor(
  environment: Readonly<Record<string, string | undefined>>,
): TextEditor {
  const command = environment['VISUAL'] ?? environment['EDITOR'] ?? 'vi';
  const keep = async (name: string, text: string): Promise<string> => {
    const path = join(await mkdtemp(join(tmpdir(), 'tunwall-')), `${name}.yaml`);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  };
  return {
    keep,
    async edit(name, text) {
      const path = await keep(name, text);
      try {
        // The variable may also hold arguments, as in "code --wait".
        const child = spawn('sh', ['-c', `${command} "$1"`, 'sh', path], { stdio: 'inherit' });
        const [code] = (await once(child, 'close')) as [number | null];
        if (code !== 0) {
          throw new UserError(
            `the editor (${command}) has ended with ${code ?? 'a signal'}: nothing was changed`,
            'set EDITOR to one that works, or use --file',
          );
        }
        return await readFile(path, 'utf8');
      } finally {
        await rm(join(path, '..'), { recursive: true });
      }
    },
  };
}
