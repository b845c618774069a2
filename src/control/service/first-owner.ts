/** The first start: creates the first owner, so that login is possible. */
import type { Logger } from '../log/logger.ts';
import type { PolicyStore } from '../store/store.ts';

/** Never fails, and nothing waits for it. @param url of the panel */
export async function createFirstOwner(
  store: PolicyStore,
  url: string,
  log: Pick<Logger, 'warn'>,
): Promise<void> {
  try {
    const owner = await store.users.createFirstOwner();
    if (owner === undefined) return;
    log.warn(
      { user: owner.name, password: owner.password, url },
      'there were no users: log in with this password, which is shown only here, and change it',
    );
  } catch (error) {
    log.warn(`nobody can log in yet: ${(error as Error).message}; see tunwall user`);
  }
}
