/** Role and, for tenants, whose: shared by the forms of users and API keys. */
import { USER_ROLES, type User } from '../../../src/domain/user.ts';
import { useCatalogue } from '../api/catalogue.ts';
import { ChoiceField } from '../ui/inputs.tsx';

export type Tenant = Pick<User, 'role' | 'advertiser_id' | 'affiliate_id'>;

export function TenantFields(props: {
  tenant: Tenant;
  error: (name: string) => string | undefined;
  onChange: (tenant: Tenant) => void;
}) {
  const { tenant, error, onChange } = props;
  const advertisers = useCatalogue('advertisers').data ?? [];
  const affiliates = useCatalogue('affiliates').data ?? [];
  return (
    <>
      <ChoiceField
        label="Role"
        value={tenant.role}
        options={USER_ROLES}
        error={error('role')}
        onChange={(role) =>
          onChange({
            role,
            advertiser_id: role === 'advertiser' ? (advertisers[0]?.id ?? 0) : 0,
            affiliate_id: role === 'affiliate' ? (affiliates[0]?.id ?? 0) : 0,
          })
        }
      />
      {tenant.role === 'advertiser' && (
        <ChoiceField
          label="Advertiser"
          value={String(tenant.advertiser_id)}
          options={advertisers.map(({ id, name }) => [String(id), `${name} #${id}`] as const)}
          error={error('advertiser_id')}
          onChange={(id) => onChange({ ...tenant, advertiser_id: Number(id) })}
        />
      )}
      {tenant.role === 'affiliate' && (
        <ChoiceField
          label="Affiliate"
          value={String(tenant.affiliate_id)}
          options={affiliates.map(({ id, name }) => [String(id), `${name} #${id}`] as const)}
          error={error('affiliate_id')}
          onChange={(id) => onChange({ ...tenant, affiliate_id: Number(id) })}
        />
      )}
    </>
  );
}

export function useTenantName(): (tenant: Tenant) => string {
  const advertisers = useCatalogue('advertisers').data ?? [];
  const affiliates = useCatalogue('affiliates').data ?? [];
  return ({ role, advertiser_id, affiliate_id }) => {
    if (role === 'advertiser')
      return `${advertisers.find(({ id }) => id === advertiser_id)?.name ?? ''} #${advertiser_id}`;
    if (role === 'affiliate')
      return `${affiliates.find(({ id }) => id === affiliate_id)?.name ?? ''} #${affiliate_id}`;
    return '—';
  };
}
