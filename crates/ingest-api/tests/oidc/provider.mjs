// A real, independent OpenID Connect provider for the tests of the sign-in: the certified oidc-provider, with people of the
// tests' making. It prints its issuer, and ends when its standard input does.
//
//   node provider.mjs FOLDER-OF-NODE-MODULES '{"ada": {"name": "Ada", "email": "ada@example.org"}}'
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [folder, people] = process.argv.slice(2);
const { default: Provider } = await import(
  pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`)
);
const claimsOf = JSON.parse(people);

const key = (kid, type, options) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  kid,
  use: 'sig',
});

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'cadastre',
        client_secret: 'a secret: with/odd+letters',
        // A native client may come back to any port of this machine.
        application_type: 'native',
        redirect_uris: ['http://127.0.0.1/auth/callback'],
        grant_types: ['authorization_code'],
        response_types: ['code'],
      },
    ],
    claims: {
      openid: ['sub', 'oid', 'tid', 'groups', '_claim_names'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
    },
    conformIdTokenClaims: false,
    cookies: { keys: [randomBytes(32).toString('hex')] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, ...claimsOf[id] }),
    }),
    jwks: { keys: [key('rsa', 'rsa', { modulusLength: 2048 }), key('ec', 'ec', { namedCurve: 'P-256' })] },
    pkce: { required: () => true },
  });
  server.on('request', provider.callback());
  console.log(`issuer ${issuer}`);
});
process.stdin.resume().on('end', () => process.exit());
