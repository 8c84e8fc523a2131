/** The proxy for an address, by the variables that curl and most programs go by. Node 20 knows nothing of them. */
import { HubError } from './errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * `https_proxy` or `http_proxy` by the kind of the address, else `all_proxy`, unless `no_proxy` names its host; small
 * or capital letters, small ones first.
 * @throws HubError where the proxy is none of HTTP
 */
export function proxyFor(url: URL, environment: Environment = process.env): URL | undefined {
  const variable = (name: string): string | undefined =>
    environment[name] || environment[name.toUpperCase()] || undefined;
  const given = variable(`${url.protocol.slice(0, -1)}_proxy`) ?? variable('all_proxy');
  if (given === undefined || isExcepted(url, variable('no_proxy') ?? '')) return undefined;
  const address = given.includes('://') ? given : `http://${given}`;
  if (!URL.canParse(address) || !/^https?:/.test(address)) {
    throw new HubError(`The proxy "${given}" cannot be used`, 'expected an address such as http://proxy.example:3128');
  }
  return new URL(address);
}

/** `no_proxy` is a list of hosts: each also stands for the hosts below it; `*` stands for all. */
function isExcepted({ hostname, port, protocol }: URL, list: string): boolean {
  const actualPort = port || (protocol === 'https:' ? '443' : '80');
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      const [, host = entry, onlyPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      const plain = host.replace(/^\*?\./, '');
      return (
        (onlyPort === undefined || onlyPort === actualPort) && (hostname === plain || hostname.endsWith(`.${plain}`))
      );
    });
}
