/** Routes. Which of them a role gets is a convenience; the API decides what it answers to whom. */
import { Route, Switch } from 'wouter';
import { AccountPage } from './access/account-page.tsx';
import { ApiKeysPage } from './access/api-keys-page.tsx';
import { UsersPage } from './access/users-page.tsx';
import { SessionProvider, useSessionQuery } from './api/session.tsx';
import { BatchPage } from './batches/batch-page.tsx';
import { CorrectionsPage } from './corrections/corrections-page.tsx';
import { DashboardPage } from './dashboard/dashboard-page.tsx';
import { DebuggerPage } from './debugger/debugger-page.tsx';
import { ExplainPage } from './explain/explain-drawer.tsx';
import { OfferPage } from './offers/offer-page.tsx';
import { OffersPage } from './offers/offers-page.tsx';
import { PeoplePage } from './people/people-page.tsx';
import { AdvertiserPage, AffiliatePage } from './people/person-page.tsx';
import { AssetsPage } from './portal/assets-page.tsx';
import { PostbacksPage } from './postbacks/affiliate-postbacks.tsx';
import { ReportPage } from './reports/report-page.tsx';
import { StatisticsPage } from './reports/statistics-page.tsx';
import { Shell } from './shell/shell.tsx';
import { SignInPage } from './shell/sign-in.tsx';
import { Empty, Failure, Loading } from './ui/states.tsx';

export function App() {
  const session = useSessionQuery();
  if (session.data === undefined)
    return session.error === null ? (
      <Loading what="the console" />
    ) : (
      <Failure error={session.error} onRetry={() => void session.refetch()} />
    );
  if (session.data === null) return <SignInPage />;
  return (
    <SessionProvider session={session.data}>
      <Shell>
        <Switch>
          <Route path="/">
            <DashboardPage />
          </Route>
          <Route path="/batches">
            <BatchPage />
          </Route>
          <Route path="/corrections">
            <CorrectionsPage />
          </Route>
          <Route path="/postbacks">
            <PostbacksPage />
          </Route>
          <Route path="/assets/tracking-link">
            <AssetsPage />
          </Route>
          <Route path="/reports/statistics">
            <StatisticsPage />
          </Route>
          <Route path="/reports/:report">
            {({ report }) => <ReportPage key={report} report={report} />}
          </Route>
          <Route path="/offers">
            <OffersPage />
          </Route>
          <Route path="/offers/:id/:tab?">{({ id, tab }) => <OfferPage id={id} tab={tab} />}</Route>
          <Route path="/affiliates">
            <PeoplePage key="affiliates" kind="affiliates" />
          </Route>
          <Route path="/affiliates/:id">{({ id }) => <AffiliatePage key={id} id={id} />}</Route>
          <Route path="/advertisers">
            <PeoplePage key="advertisers" kind="advertisers" />
          </Route>
          <Route path="/advertisers/:id">{({ id }) => <AdvertiserPage key={id} id={id} />}</Route>
          <Route path="/users">
            <UsersPage />
          </Route>
          <Route path="/api-keys">
            <ApiKeysPage />
          </Route>
          <Route path="/account">
            <AccountPage />
          </Route>
          <Route path="/debugger/:tab?">{({ tab }) => <DebuggerPage tab={tab} />}</Route>
          <Route path="/why/:name/:id">
            {({ name, id }) => <ExplainPage name={name} id={id} />}
          </Route>
          <Route>
            <Empty title="There is no such page" />
          </Route>
        </Switch>
      </Shell>
    </SessionProvider>
  );
}
