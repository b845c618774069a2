/** The store on a directory keeps what every store promises. */
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { storeCompliance } from '../../../support/store-compliance.ts';
import { TestDirectory } from '../../../support/stores.ts';

storeCompliance(async (files) => {
  const directory = await TestDirectory.create(files);
  await mkdir(join(directory.path, 'templates'), { recursive: true });
  return Object.assign(directory, {
    restarted: () => directory.store(),
    async readOnly(): Promise<() => Promise<void>> {
      const { geteuid, seteuid } = process;
      const root = geteuid!() === 0;
      await chmod(directory.path, root ? 0o755 : 0o555);
      // Root may write anything.
      if (root) seteuid!(65_534);
      return async () => {
        if (root) seteuid!(0);
        await chmod(directory.path, 0o755);
      };
    },
  });
});
