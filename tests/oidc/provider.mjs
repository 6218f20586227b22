// The OpenID Connect provider of the journeys: oidc-provider with two pages of its own and people who can be changed.
//
//   node provider.mjs PORT REDIRECT_URI POST_LOGOUT_URI
//
// Whoever types a name signs in as that name. POST /_people {"mira": {"groups": ["release"]}} says which groups.
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const [port, redirectUri, postLogoutUri] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const people = new Map();

const escaped = (text) => String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
const page = (title, body) =>
  `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>${title}</title></head>` +
  `<body><h1>${title}</h1>${body}</body></html>`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: "switchback",
    client_secret: "the secret of the journeys",
    redirect_uris: [redirectUri],
    post_logout_redirect_uris: [postLogoutUri],
  }],
  claims: { openid: ["sub"], profile: ["preferred_username", "name"], email: ["email", "email_verified"], groups: ["groups"] },
  scopes: ["openid", "profile", "email", "groups"],
  cookies: { keys: ["the journeys'"] },
  features: {
    devInteractions: { enabled: false },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = page("Sign out of the provider?",
          `${form}<button type="submit" form="op.logoutForm" value="yes" name="logout">Yes, sign me out</button>`);
      },
    },
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => {
      const name = id.replace(/^sub-/, "");
      const person = people.get(name) ?? {};
      return {
        sub: id,
        preferred_username: name,
        name,
        email: `${name}@example.com`,
        email_verified: true,
        groups: person.groups ?? [],
      };
    },
  }),
  // Everything that Switchback asks for is granted: what people agree to is not what is tested.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope("openid profile email groups");
    await grant.save();
    return grant;
  },
  renderError: (ctx, out) => {
    ctx.type = "html";
    ctx.body = page("The provider refused", `<p>${escaped(out.error)}: ${escaped(out.error_description)}</p>`);
  },
});

const body = async (request) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
};

const answer = provider.callback();
createServer(async (request, response) => {
  try {
    const path = new URL(request.url, issuer).pathname;
    if (path === "/_people" && request.method === "POST") {
      for (const [name, person] of Object.entries(JSON.parse(await body(request)))) people.set(name, person);
      response.end("{}");
    } else if (path.startsWith("/interaction/") && request.method === "GET") {
      const { params } = await provider.interactionDetails(request, response);
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(page("Sign in at the provider",
        `<p>prompt ${escaped(params.prompt ?? "none")}</p><form method="post"><label for="login">Name</label>` +
        `<input id="login" name="login" required><button>Continue</button></form>` +
        `<form method="post"><button name="refuse" value="yes">Refuse</button></form>`));
    } else if (path.startsWith("/interaction/") && request.method === "POST") {
      const form = new URLSearchParams(await body(request));
      const result = form.has("refuse")
        ? { error: "access_denied", error_description: "The person refused." }
        : { login: { accountId: `sub-${form.get("login")}` } };
      await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    } else {
      answer(request, response);
    }
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error));
  }
}).listen(Number(port), "127.0.0.1", () => console.log(`ready at ${issuer}`));
