/** Where a rule stands, as terminals and editors make it clickable: `/etc/tunwall/templates/web.yaml:4: inbound[0]`. */
import type { RuleDirection } from '../text/rule-text.ts';
import type { ApiClient } from './api-client.ts';
import type { StatusView } from './api-types.ts';

export function placeText(
  file: string,
  line: number | undefined,
  direction: RuleDirection,
  index: number,
): string {
  return `${line === undefined ? file : `${file}:${line}`}: ${direction}[${index}]`;
}

/** The files of templates, by the configuration directory of whoever answers. */
export async function templateFiles(client: ApiClient): Promise<(template: string) => string> {
  const { configDirectory } = await client.get<StatusView>('/status');
  return (template) => `${configDirectory}/templates/${template}.yaml`;
}
