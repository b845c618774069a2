/** Problems as GitHub shows them beside the lines of a pull request: workflow commands on standard output. */
import type { Problem } from '../policy/types.ts';

const escapes: Readonly<Record<string, string>> = {
  '%': '%25',
  '\r': '%0D',
  '\n': '%0A',
  ':': '%3A',
  ',': '%2C',
};

const data = (text: string): string => text.replace(/[%\r\n]/g, (each) => escapes[each]!);
const property = (text: string): string => text.replace(/[%\r\n:,]/g, (each) => escapes[each]!);

/** `::error file=templates/web.yaml,line=3,col=5::inbound[0].ports: expected …` */
export function githubAnnotation({ severity, file, line, column, path, message }: Problem): string {
  const place = [
    `file=${property(file)}`,
    ...(line === 0 ? [] : [`line=${line}`, `col=${column}`]),
  ].join(',');
  return `::${severity} ${place}::${data(path === '' ? message : `${path}: ${message}`)}`;
}
