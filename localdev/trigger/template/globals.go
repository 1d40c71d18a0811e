package template

import "slices"

// globalProperties are what Globals may say of functions; see samtranslator/plugins/globals in SAM's translator.
var globalProperties = []string{
	"Architectures", "AssumeRolePolicyDocument", "AutoPublishAlias", "AutoPublishAliasAllProperties", "CapacityProviderConfig",
	"CodeSigningConfigArn", "CodeUri", "DeadLetterQueue", "DeploymentPreference", "Description", "DurableConfig",
	"Environment", "EphemeralStorage", "EventInvokeConfig", "FileSystemConfigs", "FunctionScalingConfig",
	"FunctionUrlConfig", "Handler", "KmsKeyArn", "Layers", "LoggingConfig", "MemorySize", "PermissionsBoundary",
	"PropagateTags", "ProvisionedConcurrencyConfig", "PublishToLatestPublished", "RecursiveLoop",
	"ReservedConcurrentExecutions", "RolePath", "Runtime", "RuntimeManagementConfig", "SnapStart", "SourceKMSKeyArn",
	"Tags", "TenancyConfig", "Timeout", "Tracing", "VersionDeletionPolicy", "VpcConfig",
}

// globals returns what the template says of all functions, but for what a function's IgnoreGlobals names.
func (r *reader) globals(function place) value {
	all := r.section("Globals").raw("Function")
	for _, m := range all.members {
		if !slices.Contains(globalProperties, m.name) {
			all.raw(m.name).failf("Globals cannot set this property of functions")
		}
	}
	ignored := function.raw("IgnoreGlobals")
	if ignored.text == "*" {
		return value{kind: object}
	}
	merged := all.value
	merged.members = slices.Clone(merged.members)
	for _, name := range ignored.elements() {
		merged.members = slices.DeleteFunc(merged.members, func(m member) bool { return m.name == name.text })
	}
	return merged
}

// merge puts the values of a function over the global ones, as SAM does: objects are merged, lists are put behind the
// global lists, and anything else replaces what is global. A call of a function is not an object.
func merge(global, local value) value {
	_, globalCall := global.call()
	_, localCall := local.call()
	switch {
	case local.kind == none:
		return global
	case global.kind != local.kind || globalCall || localCall:
		return local
	case local.kind == list:
		local.items = slices.Concat(global.items, local.items)
		return local
	case local.kind == object:
		local.members = mergeMembers(global.members, local.members)
		return local
	default:
		return local
	}
}

func mergeMembers(global, local []member) []member {
	merged := slices.Clone(global)
	for _, m := range local {
		i := slices.IndexFunc(merged, func(g member) bool { return g.name == m.name })
		if i < 0 {
			merged = append(merged, m)
			continue
		}
		m.value = merge(merged[i].value, m.value)
		merged[i] = m
	}
	return merged
}
