import type { ApiClient } from './api-client.ts';
import type { StatusView } from './api-types.ts';

/** The files of templates, by the configuration directory of whoever answers. */
export async function templateFiles(client: ApiClient): Promise<(template: string) => string> {
  const { configDirectory } = await client.get<StatusView>('/status');
  return (template) => `${configDirectory}/templates/${template}.yaml`;
}
