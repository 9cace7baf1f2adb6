// The REST interface in Swagger UI. A key in the address (?token=KEY) is used for the description and for "Try it out".

const key = new URLSearchParams(location.search).get("token");
const answer = await fetch("openapi.json", { headers: key ? { Authorization: `Bearer ${key}` } : {} });
const spec = await answer.json();

// A proxy may serve this page under a path of its own, with which the server was not started.
const path = new URL(".", location.href).pathname.replace(/\/$/, "");
if (path && !spec.servers) spec.servers = [{ url: path }];

const ui = globalThis.SwaggerUIBundle({
  spec,
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  onComplete() {
    if (key) ui.preauthorizeApiKey("bearer", key);
  },
});
