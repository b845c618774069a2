/** Maps paths to pages. Each page is loaded on its first visit. */
import { Button } from '@mantine/core';
import { IconLock, IconMapQuestion } from '@tabler/icons-react';
import { Suspense, lazy } from 'react';
import type { ReactNode } from 'react';
import { Link, Route, Switch } from 'wouter';
import { Page } from '../parts/page.tsx';
import { Empty, Loading } from '../parts/states.tsx';
import { PageErrors } from './page-errors.tsx';
import { useSession } from './session.ts';
import { roleWords } from './user-menu.tsx';

const OverviewPage = lazy(() => import('../pages/overview/overview-page.tsx'));
const FirewallList = lazy(() => import('../pages/firewalls/firewall-list.tsx'));
const NewFirewall = lazy(() => import('../pages/firewalls/new-firewall.tsx'));
const FirewallPage = lazy(() => import('../pages/firewalls/firewall-page.tsx'));
const FirewallHistory = lazy(() => import('../pages/firewalls/firewall-history.tsx'));
const SetList = lazy(() => import('../pages/sets/set-list.tsx'));
const NewSet = lazy(() => import('../pages/sets/new-set.tsx'));
const SetPage = lazy(() => import('../pages/sets/set-page.tsx'));
const SetHistory = lazy(() => import('../pages/sets/set-history.tsx'));
const ServerList = lazy(() => import('../pages/servers/server-list.tsx'));
const ServerPage = lazy(() => import('../pages/servers/server-page.tsx'));
const GatewayList = lazy(() => import('../pages/gateways/gateway-list.tsx'));
const FlowsPage = lazy(() => import('../pages/flows/flows-page.tsx'));
const LivePage = lazy(() => import('../pages/live/live-page.tsx'));
const ExplainPage = lazy(() => import('../pages/explain/explain-page.tsx'));
const ChangesPage = lazy(() => import('../pages/changes/changes-page.tsx'));
const AuditPage = lazy(() => import('../pages/audit/audit-page.tsx'));
const AccountPage = lazy(() => import('../pages/users/account-page.tsx'));
const UsersPage = lazy(() => import('../pages/users/users-page.tsx'));

export function Pages(): ReactNode {
  const { may } = useSession().session;
  return (
    <PageErrors>
      <Suspense fallback={<Loading />}>
        <Switch>
          <Route path="/account" component={AccountPage} />
          {!may.view && (
            <Route>
              <NotAvailable />
            </Route>
          )}
          <Route path="/" component={OverviewPage} />
          <Route path="/firewalls" component={FirewallList} />
          <Route path="/firewalls/~new">{may.change ? <NewFirewall /> : <OwnersOnly />}</Route>
          <Route path="/firewalls/:name">
            {({ name }) => <FirewallPage key={name} name={name} />}
          </Route>
          <Route path="/firewalls/:name/history">
            {({ name }) => <FirewallHistory key={name} name={name} />}
          </Route>
          <Route path="/sets" component={SetList} />
          <Route path="/sets/~new">{may.change ? <NewSet /> : <OwnersOnly />}</Route>
          <Route path="/sets/:name">{({ name }) => <SetPage key={name} name={name} />}</Route>
          <Route path="/sets/:name/history">
            {({ name }) => <SetHistory key={name} name={name} />}
          </Route>
          <Route path="/servers" component={ServerList} />
          <Route path="/servers/:name">{({ name }) => <ServerPage key={name} name={name} />}</Route>
          <Route path="/gateways" component={GatewayList} />
          <Route path="/live" component={LivePage} />
          <Route path="/flows" component={FlowsPage} />
          <Route path="/explain" component={ExplainPage} />
          <Route path="/changes" component={ChangesPage} />
          <Route path="/audit">{may.change ? <AuditPage /> : <OwnersOnly />}</Route>
          <Route path="/users">{may.change ? <UsersPage /> : <OwnersOnly />}</Route>
          <Route>
            <NoSuchPage />
          </Route>
        </Switch>
      </Suspense>
    </PageErrors>
  );
}

function NotAvailable(): ReactNode {
  const { session } = useSession();
  return (
    <Page title="Not available">
      <Empty
        icon={<IconLock size={36} aria-hidden />}
        title="This section is not available to your role"
      >
        You are logged in as {session.name}, {roleWords[session.role]}. Firewalls can be seen by
        members and billing members, and edited by owners. An owner can give you another role.
      </Empty>
    </Page>
  );
}

function OwnersOnly(): ReactNode {
  return (
    <Page title="For owners">
      <Empty icon={<IconLock size={36} aria-hidden />} title="Only an owner can do this">
        You can see firewalls and servers, their rules and their traffic.
      </Empty>
    </Page>
  );
}

function NoSuchPage(): ReactNode {
  return (
    <Page title="No such page">
      <Empty
        icon={<IconMapQuestion size={36} aria-hidden />}
        title="There is nothing at this address"
        action={
          <Button component={Link} href="/firewalls">
            Go to the firewalls
          </Button>
        }
      >
        It may have been renamed or destroyed.
      </Empty>
    </Page>
  );
}
